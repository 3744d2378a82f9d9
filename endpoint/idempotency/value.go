package idempotency

import (
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"

	"github.com/sluice-go/sluice/internal/call"
	"github.com/sluice-go/sluice/internal/field"
	"github.com/sluice-go/sluice/internal/form"
	"github.com/sluice-go/sluice/internal/mark"
	"github.com/sluice-go/sluice/internal/told"
	"github.com/sluice-go/sluice/proxy"
	"github.com/sluice-go/sluice/proxy/document"
)

// A value is what stands under a key in the Answers.
type value struct {
	kind    kind
	print   fingerprint
	token   string // of a claim: no other one has it
	outcome outcome
}

type kind uint8

const (
	kindClaim   kind = 1 + iota // the request runs
	kindGone                    // the request was executed, and its answer was not kept
	kindAnswer                  // the request was answered
	kindFailure                 // the request has failed
)

// An outcome is what a repeat is answered with.
type outcome struct {
	status  int
	header  http.Header
	trailer http.Header // of a stream
	partial bool
	stream  bool // the payload is that of a Body
	payload []byte

	members document.Document // of a failure
	passed  bool              // a failure of an upstream that is written for clients
}

// valueVersion is the first byte of the binary form. A form that is read in another way has another
// one.
const valueVersion = 1

// newClaim returns the binary form of a claim.
func newClaim(print fingerprint) []byte {
	v := value{kind: kindClaim, print: print, token: rand.Text()}
	return v.form()
}

// form returns the binary form of a value.
func (v *value) form() []byte {
	o := &v.outcome
	w := form.Writer(append(make([]byte, 0, 64+len(o.payload)), valueVersion, byte(v.kind)))
	w.Text(string(v.print[:]))
	switch v.kind {
	case kindClaim:
		w.Text(v.token)
	case kindAnswer:
		w.Number(int64(o.status))
		w.Header(o.header)
		w.Header(o.trailer)
		w.Flag(o.partial)
		w.Flag(o.stream)
		w.Text(string(o.payload))
	case kindFailure:
		w.Number(int64(o.status))
		w.Header(o.header)
		w.Text(string(o.members.AppendJSON(nil)))
		w.Flag(o.passed)
		w.Text(string(o.payload))
	}
	return w
}

// readValue reads the binary form of a value.
func readValue(b []byte) (*value, error) {
	r := form.NewReader(b)
	version := r.Byte()
	if r.Err() == nil && version != valueVersion {
		return nil, fmt.Errorf("it has version %d, want %d", version, valueVersion)
	}
	v := &value{kind: kind(r.Byte())}
	if copy(v.print[:], r.Text()) != len(v.print) {
		r.Fail(nil)
	}
	o := &v.outcome
	switch v.kind {
	case kindClaim:
		v.token = r.Text()
	case kindGone:
	case kindAnswer:
		o.status = int(r.Number())
		o.header, o.trailer = r.Header(), r.Header()
		o.partial, o.stream = r.Flag(), r.Flag()
		o.payload = []byte(r.Text())
		if o.status < 200 || o.status > 999 {
			r.Fail(nil)
		}
	case kindFailure:
		o.status = int(r.Number())
		o.header = r.Header()
		if text := r.Text(); text != "" {
			o.members = parsed(r, []byte(text))
		}
		o.passed = r.Flag()
		o.payload = []byte(r.Text())
		if o.status < 400 || o.status > 599 {
			r.Fail(nil)
		}
	default:
		r.Fail(nil)
	}
	return v, r.End()
}

func parsed(r *form.Reader, text []byte) document.Document {
	d, err := document.Limits{Depth: -1}.Parse(text)
	if err != nil {
		r.Fail(err)
	}
	return d
}

// errPartial is what a partial answer lacks when it is given again.
var errPartial = errors.New("the kept answer is partial")

// replay makes of an outcome the answer to a repeat.
func (v *value) replay() (*proxy.Response, error) {
	o := &v.outcome
	h := o.header
	if h == nil {
		h = http.Header{}
	}
	h[replayed] = []string{"true"}
	if v.kind == kindFailure {
		return nil, o.failure(h)
	}
	res := &proxy.Response{Status: o.status, Header: h}
	if o.partial {
		res.Err = errPartial
	}
	switch {
	case o.stream:
		res.Body = call.InMemory(o.payload)
		if o.trailer != nil {
			trailer := o.trailer
			res.Trailer = func() http.Header { return trailer }
		}
	case len(o.payload) > 0:
		d, err := document.Limits{Depth: -1}.Parse(o.payload)
		if err != nil {
			return nil, unavailable(fmt.Errorf("the value of the key: %w", err))
		}
		res.Document = d
	}
	return res, nil
}

// failure returns the error of a repeat of a request that has failed.
func (o *outcome) failure(h http.Header) error {
	e := &proxy.Error{Status: o.status, Op: op, Err: ErrReplayed, Header: h, Members: o.members}
	if o.passed {
		e.Err = mark.Passed{Status: o.status}
		e.Upstream = &proxy.UpstreamAnswer{Status: o.status, Header: h, Body: o.payload}
	}
	return e
}

// ofError returns the value of a request that has failed.
func ofError(print fingerprint, err error) *value {
	o := outcome{status: proxy.StatusOf(err)}
	if o.status == proxy.StatusClientGone { // the call has no client: other code has cancelled it
		o.status = http.StatusBadGateway
	}
	o.header = keptHeader(told.Header(err, o.status))
	o.members = told.Members(err, o.status)
	if passed := told.Passed(err); passed != nil {
		o.passed, o.payload = true, passed.Body
		if o.header == nil {
			o.header = http.Header{}
		}
		for _, name := range [...]string{"Content-Type", "Content-Language"} {
			if values := passed.Header[name]; len(values) > 0 {
				o.header[name] = values
			}
		}
	}
	return &value{kind: kindFailure, print: print, outcome: o}
}

// keptHeader returns a copy of a header without what must not be kept. A cookie is for the first client
// alone.
func keptHeader(h http.Header) http.Header {
	h = field.Kept(h)
	if h != nil {
		field.Delete(h, "Set-Cookie")
	}
	return h
}

// fits reports whether an outcome is one to keep.
func (o *outcome) fits(most int) bool {
	size := 0
	for _, h := range [...]http.Header{o.header, o.trailer} {
		for name, values := range h {
			for _, value := range values {
				size += len(name) + len(value)
			}
		}
	}
	return most < 0 || len(o.payload) <= most && size+o.members.Size() <= most
}
