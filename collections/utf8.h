// UTF-8: what is well-formed, and where.
//
// RFC 3629 (F. Yergeau, 2003) and The Unicode Standard 15.0, table 3-7: refused are overlong forms,
// surrogates, what is above U+10FFFF, and sequences that are cut short. Allocates nothing, keeps no
// state, needs no alignment and no order of bytes.
//
// Sizes and offsets count bytes. A text of 0 bytes may be NULL, and is well-formed.
#ifndef COLLECTIONS_UTF8_H_
#define COLLECTIONS_UTF8_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define UTF8_LONGEST 4  // bytes of a code point, at most
#define UTF8_LAST_CODE_POINT ((uint32_t)0x10FFFF)

// The offset of the first sequence that is not well-formed; `size` if there is none.
size_t utf8_validate(const char *text, size_t size);

// How many bytes the code point at the start of `text` takes, with its number in *code_point. 0,
// and *code_point unchanged, if no well-formed sequence begins there, or if `size` is 0.
unsigned utf8_decode(const char *text, size_t size, uint32_t *code_point);

// How many bytes of `to` were written. 0, and none, for what UTF-8 cannot say: surrogates, and
// numbers above UTF8_LAST_CODE_POINT.
unsigned utf8_encode(uint32_t code_point, char to[UTF8_LONGEST]);

// Whether a code point begins at `offset` of a well-formed text, or the text ends there. False
// beyond the end.
bool utf8_is_boundary(const char *text, size_t size, size_t offset);

#endif
