/* SPDX-License-Identifier: Apache-2.0 */
/* What the library shows to programs; all else is hidden. */
#ifndef EXPORT_H
#define EXPORT_H

#define EXPORT __attribute__((visibility("default")))

#endif
