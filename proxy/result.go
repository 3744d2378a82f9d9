package proxy

import (
	"net/http"

	"github.com/sluice-go/sluice/proxy/document"
)

// A Result is the outcome of calling a part or stage, for the functions that combine parts or
// prepare stages. It holds at most one of Document and Err. Only the Compare of a [Shadow] may get
// both, for a partial answer.
type Result struct {
	Name     string            // of the part or stage
	Status   int               // of its response; 0 if there is none
	Header   http.Header       // of its response; read-only, may be nil
	Document document.Document // absent if it failed, was skipped or answered without one
	Err      error             // why it has no response; nil if it was skipped
	Skipped  bool              // its condition did not hold, or a stage that it depends on is missing
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

// Results are the results of all parts, or of the stages so far, in declared order.
type Results []Result

// Get returns the result of the part or stage with that name, and whether there is one.
func (rs Results) Get(name string) (Result, bool) {
	for i := range rs {
		if rs[i].Name == name {
			return rs[i], true
		}
	}
	return Result{}, false
}

// Document returns the document of the part or stage with that name. It is absent if there is none.
func (rs Results) Document(name string) document.Document {
	r, _ := rs.Get(name)
	return r.Document
}
