// Deflated bytes (RFC 1951), bare as in zip, or in gzip's wrapping (RFC 1952).
#ifndef HARNESS_IMPORT_INFLATE_H_
#define HARNESS_IMPORT_INFLATE_H_

#include "harness/import_unpack.h"

// Goes on from what is in `to`. On true, `*used` of the bytes were one whole stream, or all of them
// were taken and to->cut says that its end is missing. False with the error.
bool inflate_stream(struct unpacked *to, bool gzip, const unsigned char *bytes, size_t size,
                    size_t *used, const char *name, struct file_error *error);

bool unpack_gzip(struct unpacked *to, const unsigned char *bytes, size_t size, const char *name,
                 struct file_error *error);
bool unpack_zip(struct unpacked *to, const unsigned char *bytes, size_t size, const char *name,
                struct file_error *error);
bool unpack_zstd(struct unpacked *to, const unsigned char *bytes, size_t size, const char *name,
                 struct file_error *error);

// Libraries that MSan does not see into have written there.
#if defined(__has_feature)
#if __has_feature(memory_sanitizer)
#include <sanitizer/msan_interface.h>
#define WRITTEN(address, size) __msan_unpoison(address, size)
#endif
#endif
#ifndef WRITTEN
#define WRITTEN(address, size) ((void)0)
#endif

#endif
