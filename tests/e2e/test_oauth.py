# SPDX-License-Identifier: Apache-2.0
"""CLI profiles of modes OAuth and CloudSSO, over real TLS; a refresh token works once."""
import contextlib
import json
import pathlib
import signal
import socket
import socketserver
import subprocess
import sys
import tempfile
import threading
import time

import pytest

from machine import BUILD, COMMAND, Machine, PATIENCE_S, ROOT, user_namespaces

sys.path.insert(0, str(ROOT / "tests" / "cloud"))
import account  # noqa: E402
import cloud_sso  # noqa: E402
import oauth  # noqa: E402

LEAVER = BUILD / "tests" / "programs" / "leaver"
URI = "aliyun-iot:a1X509rsa00/device-1"
SECRETS = [*oauth.REFRESH_TOKENS.values(), *oauth.ACCESS_TOKENS.values(), cloud_sso.ACCESS_TOKEN,
           cloud_sso.EXPIRED_ACCESS_TOKEN]


class _ProxyHandler(socketserver.StreamRequestHandler):
    def handle(self):
        line = self.rfile.readline().decode()
        while self.rfile.readline().strip():
            pass
        method, target, _ = line.split()
        assert method == "CONNECT"
        host, port = target.split(":")
        self.server.asked.append(host)
        self.server.arrived.set()
        if self.server.silent:
            self.rfile.read()  # until the client goes away
            return
        peer = socket.create_connection(
            ("127.0.0.1", self.server.routes.get(host, int(port))))
        self.wfile.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        with peer:
            back = threading.Thread(target=self.relay, args=(peer, self.connection), daemon=True)
            back.start()
            self.relay(self.connection, peer)
            back.join()

    @staticmethod
    def relay(source, target):
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                target.sendall(data)
        with contextlib.suppress(OSError):
            target.shutdown(socket.SHUT_WR)


class Proxy(socketserver.ThreadingTCPServer):
    """An HTTP proxy that leads the official host names to the stand-in. TLS is end to end."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, routes):
        super().__init__(("127.0.0.1", 0), _ProxyHandler)
        self.routes = routes
        self.asked = []
        self.silent = False
        self.arrived = threading.Event()
        threading.Thread(target=self.serve_forever, daemon=True).start()


class LoggedIn(Machine):
    """A machine whose user has logged in by the aliyun command line, and has no other AccessKey."""

    def __init__(self, directory, cloud, proxy, config):
        super().__init__(directory, cloud)
        self.proxy = proxy
        for name in list(self.environment):
            if name.startswith("ALIBABA_CLOUD_"):
                del self.environment[name]
        self.environment["ALIBABA_CLOUD_ECS_METADATA_DISABLED"] = "true"
        self.write_settings(f"timeout = 20s\nproxy = http://127.0.0.1:{proxy.server_address[1]}",
                            quota="rate = 100")
        self.config = config
        self.environment["ALIBABA_CLOUD_CONFIG_FILE"] = str(config)

    def write_profile(self, **fields):
        self.config.write_text(json.dumps(
            {"current": "work", "profiles": [{"name": "work", **fields}]}, indent="\t"))

    def write_oauth_profile(self, site="CN", expires=0, **fields):
        self.write_profile(**{
            "mode": "OAuth", "oauth_site_type": site,
            "oauth_refresh_token": oauth.REFRESH_TOKENS[site],
            "oauth_access_token": oauth.ACCESS_TOKENS[site],
            "oauth_access_token_expire": int(time.time()) + expires, **fields})

    def write_cloud_sso_profile(self, **fields):
        self.write_profile(**{
            "mode": "CloudSSO", "cloud_sso_sign_in_url": f"{self.cloud.endpoint}/company/login",
            "cloud_sso_account_id": cloud_sso.ACCOUNT_ID,
            "cloud_sso_access_config": cloud_sso.ACCESS_CONFIGURATION,
            "access_token": cloud_sso.ACCESS_TOKEN,
            "cloud_sso_access_token_expire": int(time.time()) + 3600, **fields})

    def read_profile(self):
        return json.loads(self.config.read_text())["profiles"][0]

    def show(self):
        return self.run(COMMAND, "show", URI)

    def assert_works(self):
        done = self.show()
        assert done.returncode == 0, done.stderr
        self.assert_silent(done.stderr)

    def assert_fails(self, *phrases):
        done = self.show()
        assert done.returncode == 1
        line, = done.stderr.splitlines()
        for phrase in phrases:
            assert phrase in line
        self.assert_silent(line)

    def assert_silent(self, text):
        for secret in SECRETS:
            assert secret not in text + self.trace.read_text()

    def actions(self):
        return [request["action"] for request in self.cloud.control("GET", "/requests")]


@pytest.fixture
def proxy(cloud):
    port = int(cloud.endpoint.rsplit(":", 1)[1])
    server = Proxy({host: port for host in oauth.CLIENTS})
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def logged_in(tmp_path, cloud, proxy):
    # A short path, so that messages are not cut before what they are about.
    with tempfile.TemporaryDirectory() as folder:
        yield LoggedIn(tmp_path, cloud, proxy, pathlib.Path(folder) / "config.json")


@pytest.mark.parametrize("site", ["CN", "INTL"])
def test_a_due_login_is_refreshed_and_kept_for_the_next_process(logged_in, cloud, site):
    logged_in.write_oauth_profile(site)
    logged_in.assert_works()
    assert logged_in.actions() == ["OAuthToken", "OAuthExchange", "QueryDeviceCert"]
    assert oauth.HOSTS[site] in logged_in.proxy.asked
    kept = logged_in.read_profile()
    assert kept["oauth_refresh_token"] != oauth.REFRESH_TOKENS[site]
    assert kept["oauth_access_token_expire"] > time.time() + 3000
    assert kept["access_key_id"] == cloud.calls()[0]["access_key_id"]
    logged_in.assert_works()
    assert logged_in.actions()[3:] == ["QueryDeviceCert"]
    # What was kept is good for the refresh after this.
    logged_in.write_profile(**{**kept, "oauth_access_token_expire": 1, "sts_expiration": 1})
    logged_in.assert_works()
    assert logged_in.actions()[4:] == ["OAuthToken", "OAuthExchange", "QueryDeviceCert"]


def test_an_access_token_that_is_still_good_is_exchanged_alone(logged_in):
    logged_in.write_oauth_profile(expires=3000)
    logged_in.assert_works()
    assert logged_in.actions() == ["OAuthExchange", "QueryDeviceCert"]
    assert logged_in.read_profile()["oauth_refresh_token"] == oauth.REFRESH_TOKENS["CN"]


def test_a_role_can_be_taken_from_a_login(logged_in, cloud):
    logged_in.write_settings(
        f"timeout = 20s\nproxy = http://127.0.0.1:{logged_in.proxy.server_address[1]}",
        quota="rate = 100", credentials=f"sts-endpoint = {cloud.endpoint}")
    logged_in.write_oauth_profile()
    profiles = json.loads(logged_in.config.read_text())
    profiles["current"] = "role"
    profiles["profiles"].append({
        "name": "role", "mode": "ChainableRamRoleArn", "source_profile": "work",
        "ram_role_arn": "acs:ram::1234567890123456:role/harness", "ram_session_name": "session"})
    logged_in.config.write_text(json.dumps(profiles))
    logged_in.assert_works()
    assert logged_in.actions() == ["OAuthToken", "OAuthExchange", "AssumeRole", "QueryDeviceCert"]
    assert "access_key_id" in logged_in.read_profile()


def test_eight_processes_use_the_refresh_token_once(logged_in):
    logged_in.write_oauth_profile()
    logged_in.cloud.fault({"delay": 0.3}, action="OAuthToken")
    processes = [logged_in.start(COMMAND, "show", URI, stdout=subprocess.DEVNULL,
                                 stderr=subprocess.PIPE) for _ in range(8)]
    for process in processes:
        _, errors = process.communicate(timeout=PATIENCE_S)
        assert process.returncode == 0, errors
    assert logged_in.actions().count("OAuthToken") == 1
    assert logged_in.actions().count("OAuthExchange") == 1


def test_a_process_killed_before_it_reaches_the_service_loses_nothing(logged_in):
    logged_in.write_oauth_profile()
    before = logged_in.config.read_text()
    logged_in.proxy.silent = True
    process = logged_in.start(COMMAND, "show", URI, stdout=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL)
    assert logged_in.proxy.arrived.wait(30)
    assert (logged_in.config.parent / "config.json.new").exists()
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert logged_in.config.read_text() == before
    logged_in.proxy.silent = False
    logged_in.assert_works()
    assert not (logged_in.config.parent / "config.json.new").exists()


def test_a_process_that_ends_while_it_refreshes_its_login_keeps_the_new_one(logged_in):
    logged_in.write_oauth_profile()
    logged_in.cloud.fault({"delay": 0.5}, action="OAuthToken")
    process = logged_in.start(LEAVER, "exit", URI, stdin=subprocess.PIPE)
    assert logged_in.proxy.arrived.wait(30)
    process.stdin.close()
    assert process.wait(timeout=PATIENCE_S) == 0
    assert "QueryDeviceCert" not in logged_in.actions()
    assert logged_in.read_profile()["oauth_refresh_token"] != oauth.REFRESH_TOKENS["CN"]
    logged_in.assert_works()


def test_a_refresh_token_that_was_used_needs_a_login(logged_in):
    logged_in.write_oauth_profile(oauth_refresh_token="StandInRefreshTokenUsed0000001")
    logged_in.assert_fails('log in again by "aliyun configure --mode OAuth --profile work"')
    assert "StandInRefreshTokenUsed" not in logged_in.trace.read_text()


def test_a_chosen_login_that_is_over_is_not_replaced_by_another_account(logged_in):
    logged_in.write_oauth_profile(oauth_refresh_token="StandInRefreshTokenUsed0000001")
    logged_in.environment["ALIBABA_CLOUD_PROFILE"] = "work"
    (logged_in.home / ".alibabacloud").mkdir()
    (logged_in.home / ".alibabacloud" / "credentials").write_text(
        "[default]\ntype = access_key\n"
        f"access_key_id = {account.FULL_KEY[0]}\naccess_key_secret = {account.FULL_KEY[1]}\n")
    logged_in.assert_fails('log in again by "aliyun configure --mode OAuth --profile work"')
    assert logged_in.actions() == ["OAuthToken"]


def test_a_kept_access_key_that_the_cloud_calls_expired_is_exchanged_anew(logged_in, cloud):
    logged_in.write_oauth_profile(expires=3000)
    logged_in.assert_works()
    cloud.fault({"code": "InvalidSecurityToken.Expired"}, times=1, action="QueryDeviceCert")
    logged_in.assert_works()
    assert logged_in.actions()[2:] == ["QueryDeviceCert", "OAuthExchange", "QueryDeviceCert"]


def test_a_token_is_sent_to_nobody_but_the_service(logged_in, web):
    """Whoever is in its place has no certificate that the settings' CA has signed."""
    logged_in.proxy.routes["oauth.aliyun.com"] = web.port
    logged_in.write_oauth_profile()
    before = logged_in.config.read_text()
    logged_in.assert_fails("https://oauth.aliyun.com")
    assert logged_in.config.read_text() == before
    assert logged_in.actions() == [] and not web.seen


@pytest.mark.parametrize("options, phrase", [("size=16k", "no room for a new file"),
                                             ("ro", "Read-only file system")])
def test_a_folder_that_cannot_take_the_new_file_costs_no_token(logged_in, options, phrase):
    if not user_namespaces():
        pytest.skip("there are no user namespaces here")
    unshare = ["unshare", "--map-root-user", "--mount"]
    logged_in.write_oauth_profile()
    folder = logged_in.config.parent
    done = logged_in.run(*unshare, "sh", "-c", f"""\
cp {folder}/config.json {logged_in.directory}/copy &&
mount -t tmpfs -o size=16k none {folder} && cp {logged_in.directory}/copy {folder}/config.json &&
mount -o remount,{options} {folder} && exec {COMMAND} show {URI}""")
    assert done.returncode == 1
    assert "the login cannot be refreshed" in done.stderr
    assert phrase in done.stderr
    assert logged_in.actions() == []


def test_a_cloud_sso_login_gives_an_access_key(logged_in):
    logged_in.write_cloud_sso_profile()
    before = logged_in.config.read_text()
    logged_in.assert_works()
    assert logged_in.actions() == ["CloudCredentials", "QueryDeviceCert"]
    assert logged_in.config.read_text() == before


@pytest.mark.parametrize("fields, phrase", [
    ({"cloud_sso_access_token_expire": 1}, "the access token has expired"),
    ({"access_token": cloud_sso.EXPIRED_ACCESS_TOKEN}, "HTTP status 401"),
    ({"access_token": ""}, "the profile is incomplete")])
def test_a_cloud_sso_login_that_has_expired_needs_another(logged_in, fields, phrase):
    logged_in.write_cloud_sso_profile(**fields)
    logged_in.assert_fails('log in again by "aliyun configure --mode CloudSSO --profile work"',
                           phrase)


def test_a_cloud_sso_login_without_permission_is_told_so(logged_in):
    logged_in.write_cloud_sso_profile(cloud_sso_account_id="6543210987654321")
    logged_in.assert_fails("HTTP status 403, NoPermission")
