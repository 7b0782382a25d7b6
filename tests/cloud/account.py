# SPDX-License-Identifier: Apache-2.0
"""The account: AccessKeys, their permissions, and the quota that they share."""
import collections
import threading
import time

# Fixed, so that documents can name them. They open nothing but this stand-in.
FULL_KEY = ("LTAI5tStandInFull0000001", "StandInSecretFull000000000001")
REFUSED_KEY = ("LTAI5tStandInRefused0001", "StandInSecretRefused000000001")
STS_KEY = ("STS.StandInTemporary00001", "StandInSecretTemporary0000001")
STS_TOKEN = "CAISStandInToken+/abc==0001"
EXPIRED_STS_KEY = ("STS.StandInExpired000001", "StandInSecretExpired000000001")
EXPIRED_STS_TOKEN = "CAISStandInExpired+/abc==0001"


class Key:
    def __init__(self, secret, permitted=True, token=None, expires=None):
        self.secret = secret
        self.permitted = permitted
        self.token = token
        self.expires = expires  # seconds since 1970


class Account:
    """Thread-safe. rate: calls within any period of one second of the clock."""

    def __init__(self, rate, clock=time.monotonic):
        self.clock = clock
        self.lock = threading.Lock()
        self.default_rate = rate
        self.reset()

    def reset(self):
        with self.lock:
            self.rate = self.default_rate
            self.admitted = collections.deque()
            self.throttled = 0
            self.nonces = set()
            self.keys = {
                FULL_KEY[0]: Key(FULL_KEY[1]),
                REFUSED_KEY[0]: Key(REFUSED_KEY[1], permitted=False),
                STS_KEY[0]: Key(STS_KEY[1], token=STS_TOKEN),
                EXPIRED_STS_KEY[0]: Key(EXPIRED_STS_KEY[1], token=EXPIRED_STS_TOKEN, expires=1),
            }

    def add_temporary_key(self, key_id, secret, token, expires):
        with self.lock:
            self.keys[key_id] = Key(secret, token=token, expires=expires)

    def rotate_key(self, old_id, new_id, secret):
        """The new AccessKey may do what the old one could; nobody knows the old one any more."""
        with self.lock:
            self.keys[new_id] = Key(secret, self.keys.pop(old_id).permitted)

    def use_nonce(self, nonce):
        """Whether the nonce is new."""
        with self.lock:
            new = nonce not in self.nonces
            self.nonces.add(nonce)
            return new

    def admit(self):
        """Whether the quota has room for one more call now."""
        now = self.clock()
        with self.lock:
            while self.admitted and self.admitted[0] <= now - 1:
                self.admitted.popleft()
            if len(self.admitted) >= self.rate:
                self.throttled += 1
                return False
            self.admitted.append(now)
            return True
