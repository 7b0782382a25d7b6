/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An identity as bytes, so that it can be kept. Nothing is decoded when it is read again: the dates
 * and the key's parameters stand there beside the DER, because OpenSSL 3.0 takes 0.4 ms to decode
 * an RSA key. So a record must come from a place that nobody else can write, or be sealed.
 *
 * A record, with numbers of 1, 2 and 4 bytes, the most significant first, and vectors, each a
 * length and as many bytes:
 *
 *     time          8 bytes, seconds since 1970: when the cloud answered
 *     time, time    not before and not after, of the leaf
 *     vector 1      the key's type, as OpenSSL calls it: RSA, EC, ED25519
 *     vector 4      CertSN; may be empty
 *     vector 4      RequestId of the call; may be empty
 *     number 1      how many certificates follow, at least 1
 *     vector 4      DER of a certificate, the leaf first; each of them
 *     vector 4      DER of the key: PKCS#8 PrivateKeyInfo
 *     number 1      how many parameters of the key follow, at least 1
 *     number 1, vector 4   which parameter (see identity_record.c), and its value; each of them.
 *                   A number is written with the most significant byte first.
 */
#ifndef IDENTITY_RECORD_H
#define IDENTITY_RECORD_H

#include "base/buffer.h"
#include "base/bytes.h"
#include "base/identity.h"

/*
 * Appends the record of an identity whose key is data. Returns NULL; or a constant phrase for a
 * message: why there is none.
 */
const char *identity_record_write(const struct aliyun_iot_identity *identity, BUF_MEM *record);

/*
 * The identity that a record describes: its first reference; or NULL, if the record is malformed,
 * or *lacks_memory. Whether it is still valid is not asked.
 */
struct aliyun_iot_identity *identity_record_read(struct bytes record, bool *lacks_memory);

#endif
