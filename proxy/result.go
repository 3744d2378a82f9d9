package proxy

import "net/http"

// A Result is what one call of a part, a stage or a mirror came to.
type Result struct {
	Name     string      // of the part or stage
	Status   int         // of its response; 0 where there is none
	Header   http.Header // of its response, only to be read
	Document Document    // absent where it failed, was skipped or had none
	Err      error       // why it has none; nil for a skipped one
	Skipped  bool
}
