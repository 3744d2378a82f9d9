package call

// IsParam reports whether name may be the name of a param, and so of a placeholder in a template:
// letters, digits, hyphens, periods and underscores, all of ASCII, and at least one of them.
func IsParam(name string) bool {
	for i := range len(name) {
		c := name[i]
		if !('a' <= c|0x20 && c|0x20 <= 'z' || '0' <= c && c <= '9' || c == '_' || c == '-' || c == '.') {
			return false
		}
	}
	return name != ""
}
