package backend

import (
	"bytes"
	"context"
	"errors"
	"mime"
	"slices"
	"strings"
	"unicode/utf8"
)

// errXMLCharset is why a body is refused: its charset is not one of those that are read.
var errXMLCharset = errors.New("a charset other than UTF-8, US-ASCII, ISO-8859-1 and windows-1252 is not accepted")

// charsetPiece is how much of a body is converted between two looks at the context.
const charsetPiece = 64 << 10

// A charset is that of a body, and what says so.
type charset struct{ name, by string }

// charsetOf returns the charset of XML: the one in the content type or else the one that the XML
// declares (RFC 7303, section 3), UTF-8 if there is neither.
func charsetOf(contentType string, body []byte) charset {
	if _, params, err := mime.ParseMediaType(contentType); err == nil {
		if name, there := params["charset"]; there {
			return charset{name, "by the Content-Type"}
		}
	}
	if rest, found := bytes.CutPrefix(body, []byte("<?xml")); found {
		rest, _, _ = bytes.Cut(rest[:min(len(rest), 1<<10)], []byte("?>"))
		if name := declaredIn(rest, "encoding"); name != "" {
			return charset{name, "by the XML declaration"}
		}
	}
	return charset{"UTF-8", "where neither the Content-Type nor the XML names another"}
}

// utf8XML returns a body in UTF-8 without a byte order mark, and its charset. A body that is in
// UTF-8 already is returned without a copy.
func utf8XML(ctx context.Context, contentType string, body []byte) ([]byte, charset, error) {
	if rest, marked := bytes.CutPrefix(body, []byte("\ufeff")); marked {
		body = rest
	}
	from := charsetOf(contentType, body)
	narrow, known := isSingleByte(from.name)
	switch {
	case !known:
		return nil, from, errXMLCharset
	case !narrow:
		return body, from, nil
	}
	wide, err := widened(ctx, body)
	return wide, from, err
}

// widened returns a text of windows-1252 in UTF-8.
func widened(ctx context.Context, body []byte) ([]byte, error) {
	n := 0
	for piece := range slices.Chunk(body, charsetPiece) {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		for _, c := range piece {
			n += utf8.RuneLen(runeOf(c))
		}
	}
	if n == len(body) {
		return body, nil
	}
	wide := make([]byte, 0, n)
	for piece := range slices.Chunk(body, charsetPiece) {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		for _, c := range piece {
			wide = utf8.AppendRune(wide, runeOf(c))
		}
	}
	return wide, nil
}

// isSingleByte reports whether a charset has one byte for each character, and whether it is read at
// all.
func isSingleByte(name string) (narrow, known bool) {
	switch strings.ToLower(name) {
	case "", "utf-8", "utf8", "us-ascii", "ascii":
		return false, true
	case "iso-8859-1", "iso8859-1", "iso_8859-1", "latin1", "latin-1", "l1", "windows-1252", "cp1252":
		return true, true
	}
	return false, false
}

// declaredIn returns a value of an XML declaration, such as its encoding, or "".
func declaredIn(declaration []byte, name string) string {
	for rest := string(declaration); ; {
		_, after, found := strings.Cut(rest, name)
		if !found {
			return ""
		}
		rest = after
		value, found := strings.CutPrefix(strings.TrimLeft(after, " \t\r\n"), "=")
		if value = strings.TrimLeft(value, " \t\r\n"); found && value != "" && (value[0] == '"' || value[0] == '\'') {
			value, _, found = strings.Cut(value[1:], value[:1])
			if !found {
				return ""
			}
			return value
		}
	}
}

// runeOf returns the character of a byte in windows-1252. ISO-8859-1 is read in the same way, as
// the Encoding Standard of WHATWG has it: those of its bytes that differ are control characters,
// which nobody means.
func runeOf(c byte) rune {
	if c >= 0x80 && c <= 0x9f {
		return windows1252[c-0x80]
	}
	return rune(c)
}

// windows1252 are the characters of the bytes 0x80 to 0x9F. It is only read.
var windows1252 = [...]rune{
	'\u20ac', '\u0081', '\u201a', '\u0192', '\u201e', '\u2026', '\u2020', '\u2021',
	'\u02c6', '\u2030', '\u0160', '\u2039', '\u0152', '\u008d', '\u017d', '\u008f',
	'\u0090', '\u2018', '\u2019', '\u201c', '\u201d', '\u2022', '\u2013', '\u2014',
	'\u02dc', '\u2122', '\u0161', '\u203a', '\u0153', '\u009d', '\u017e', '\u0178',
}
