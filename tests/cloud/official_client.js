// Asks for device-1 with an official client: node official_client.js CLIENT ENDPOINT CA ID SECRET.
// NODE_PATH names the folder with the clients. Prints the code of the error, or "accepted".
const fs = require('fs');
const https = require('https');
const [client, endpoint, caFile, accessKeyId, accessKeySecret] = process.argv.slice(2);
const ca = fs.readFileSync(caFile, 'utf8');
const query = {ProductKey: 'a1X509rsa00', DeviceName: 'device-1'};
const action = 'QueryDeviceCert';
const version = '2018-01-20';

// The first generation. It sends the two headers by itself unless a caller names others.
async function popCore(method) {
  const {RPCClient} = require('@alicloud/pop-core');
  const asked = new RPCClient({accessKeyId, accessKeySecret, endpoint, apiVersion: version});
  return asked.request(action, query, {
    method, agent: new https.Agent({ca}),
    headers: {'x-acs-action': action, 'x-acs-version': version},
  });
}

// The second generation, with its own signature or, as v2, with the first generation's.
async function openapiClient(signatureAlgorithm) {
  const {default: Client, Config, Params, OpenApiRequest} = require('@alicloud/openapi-client');
  const {RuntimeOptions} = require('@alicloud/tea-util');
  const asked = new Client(new Config({
    accessKeyId, accessKeySecret, signatureAlgorithm, protocol: 'HTTPS',
    endpoint: endpoint.replace('https://', ''),
  }));
  const params = new Params({
    action, version, protocol: 'HTTPS', method: 'POST', authType: 'AK', style: 'RPC',
    pathname: '/', reqBodyType: 'formData', bodyType: 'json',
  });
  const answer = await asked.callApi(params, new OpenApiRequest({query}), new RuntimeOptions({ca}));
  return answer.body;
}

const clients = {
  'pop-core GET': () => popCore('GET'),
  'pop-core POST': () => popCore('POST'),
  'openapi-client': () => openapiClient(undefined),
  'openapi-client v2': () => openapiClient('v2'),
};
clients[client]().then(
    (answer) => console.log(answer.Success && answer.DeviceCertInfo.Certificate ? 'accepted' : answer),
    (error) => console.log(error.code || error));
