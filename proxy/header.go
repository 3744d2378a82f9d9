package proxy

import "net/http"

// HopByHop reports whether a header, given by its canonical name, is of one connection and never goes on: those of RFC
// 9110, section 7.6.1, what is treated like them, and Alt-Svc, with which an upstream would have clients go around the
// gateway.
func HopByHop(name string) bool {
	switch name {
	case "Connection", "Proxy-Connection", "Keep-Alive", "Proxy-Authenticate", "Proxy-Authorization", "Te", "Trailer",
		"Transfer-Encoding", "Upgrade", "Http2-Settings", "Alt-Svc":
		return true
	}
	return false
}

// headerFor returns the Header of a new response: code may write to it, unless there is none.
func headerFor(described bool) http.Header {
	if described {
		return nil
	}
	return http.Header{}
}
