package proxy

import "net/http"

// headerFor returns the Header of a new response: code may write to it, unless there is none.
func headerFor(described bool) http.Header {
	if described {
		return nil
	}
	return http.Header{}
}
