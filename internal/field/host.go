package field

import "strings"

// IsHostByte reports whether an ASCII byte may stand in a host, with or without a port (RFC 3986,
// section 3.2.2).
func IsHostByte(c byte) bool {
	return bytes[c]&plain != 0 || strings.IndexByte("._~%!$&'()*+,;=:[]", c) >= 0
}
