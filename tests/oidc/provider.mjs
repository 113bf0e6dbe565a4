// A certified OpenID provider (oidc-provider) on loopback by HTTPS, for the tests. Any password is right;
// who somebody is and which groups the person has stands in the terms that the test hands over as JSON.
import { generateKeyPairSync, randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { createServer } from "node:https";
import Provider from "oidc-provider";

const terms = JSON.parse(process.argv[2]);

function privateKey(kind, options, algorithm) {
  const { privateKey: key } = generateKeyPairSync(kind, options);
  return { ...key.export({ format: "jwk" }), alg: algorithm, use: "sig", kid: randomBytes(6).toString("hex") };
}

const provider = new Provider(terms.issuer, {
  clients: [
    {
      client_id: terms.client_id,
      client_secret: terms.client_secret,
      redirect_uris: [`${terms.url}/login/oidc/callback`],
      post_logout_redirect_uris: [`${terms.url}/login`],
      id_token_signed_response_alg: terms.algorithm,
    },
  ],
  jwks: {
    keys: [
      privateKey("rsa", { modulusLength: 2048 }, "RS256"),
      privateKey("ec", { namedCurve: "P-256" }, "ES256"),
    ],
  },
  cookies: { keys: [randomBytes(16).toString("hex")] },
  claims: { openid: ["sub"], profile: ["preferred_username"], groups: ["groups"] },
  scopes: ["openid", "profile", "groups"],
  conformIdTokenClaims: terms.claims_by_userinfo,
  pkce: { required: () => true },
  ttl: { Session: 600, Grant: 600, Interaction: 600, IdToken: 300, AccessToken: 300 },
  features: { devInteractions: { enabled: true } },
  findAccount: (_, id) => ({
    accountId: id,
    claims: () => ({ sub: id, preferred_username: id, groups: terms.groups[id] ?? [] }),
  }),
});

const files = { cert: readFileSync(terms.certificate), key: readFileSync(terms.key) };
createServer(files, provider.callback()).listen(terms.port, "127.0.0.1", () => console.log("ready"));
