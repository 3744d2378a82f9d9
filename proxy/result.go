package proxy

import (
	"net/http"

	"github.com/sluice-go/sluice/proxy/document"
)

// A Result is what the call of a part or a stage came to, for the functions that combine parts and prepare stages. It
// holds at most one of Document and Err; only the Compare of a [Shadow] may get both, for a partial answer.
type Result struct {
	Name     string            // of the part or stage
	Status   int               // of its response; 0 where there is none
	Header   http.Header       // of its response, only to be read; perhaps nil
	Document document.Document // absent where it failed, was skipped or answered without one
	Err      error             // why it has no response; nil if it was skipped
	Skipped  bool              // its condition did not hold, or what it depends on is missing
}

func resultOf(name string, res *Response, err error, skipped bool) Result {
	switch {
	case err != nil:
		return Result{Name: name, Err: err}
	case skipped:
		return Result{Name: name, Skipped: true}
	}
	return Result{Name: name, Status: res.StatusCode(), Header: res.Header, Document: res.Document}
}

// Results are those of all parts or of the stages so far, in declared order.
type Results []Result

// Get returns the result of that name, and whether there is one.
func (rs Results) Get(name string) (Result, bool) {
	for i := range rs {
		if rs[i].Name == name {
			return rs[i], true
		}
	}
	return Result{}, false
}

// Document returns the document of the result of that name, absent where there is none.
func (rs Results) Document(name string) document.Document {
	r, _ := rs.Get(name)
	return r.Document
}
