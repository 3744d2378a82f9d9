package field

import "strings"

// HasETag reports whether the lines of an If-None-Match have an entity tag, or are "*". The comparison
// is the weak one (RFC 9110, section 13.1.2). What stands behind something that is no entity tag is
// not read, and an empty etag is in no list but "*".
func HasETag(lines []string, etag string) bool {
	for _, line := range lines {
		if hasETag(line, etag) {
			return true
		}
	}
	return false
}

func hasETag(list, etag string) bool {
	if strings.Trim(list, " \t") == "*" {
		return true
	}
	etag = strings.TrimPrefix(etag, "W/")
	for etag != "" {
		list = strings.TrimLeft(list, " \t,")
		list = strings.TrimPrefix(list, "W/")
		if !strings.HasPrefix(list, `"`) {
			return false
		}
		end := strings.IndexByte(list[1:], '"')
		if end < 0 {
			return false
		}
		if list[:end+2] == etag {
			return true
		}
		list = list[end+2:]
	}
	return false
}
