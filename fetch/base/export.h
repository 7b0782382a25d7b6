/* SPDX-License-Identifier: Apache-2.0 */
/* Marks the symbols that the library exports. All others are hidden. */
#ifndef EXPORT_H
#define EXPORT_H

#define EXPORT __attribute__((visibility("default")))

#endif
