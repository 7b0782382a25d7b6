/* SPDX-License-Identifier: Apache-2.0 */
/* Wraps and unwraps the sealing key of a vault. */
#ifndef WRAPPING_H
#define WRAPPING_H

#include "base/key_wrapper.h"

extern const struct key_wrapper wrapping;

#endif
