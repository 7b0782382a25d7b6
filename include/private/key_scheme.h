/* SPDX-License-Identifier: Apache-2.0 */
/* How a message is signed. */
#ifndef KEY_SCHEME_H
#define KEY_SCHEME_H

/* An RSA-PSS salt is as long as the digest, as TLS 1.3 demands. */
enum key_scheme {
    KEY_SCHEME_RSA_PKCS1_SHA256,
    KEY_SCHEME_RSA_PKCS1_SHA384,
    KEY_SCHEME_RSA_PKCS1_SHA512,
    KEY_SCHEME_RSA_PSS_SHA256,
    KEY_SCHEME_RSA_PSS_SHA384,
    KEY_SCHEME_RSA_PSS_SHA512,
    KEY_SCHEME_ECDSA_SHA256, /* the signature is a DER sequence of r and s, as in TLS */
    KEY_SCHEME_ECDSA_SHA384,
    KEY_SCHEME_ECDSA_SHA512,
    KEY_SCHEME_ED25519,
    KEY_SCHEME_ED448
};

#endif
