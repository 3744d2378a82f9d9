package proxy

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/sluice-go/sluice/pipe"
)

// A Moment says when [Static] adds its data.
type Moment uint8

// The moments. A partial answer, one whose Err is not nil, is a success that is incomplete.
const (
	Always       Moment = iota
	OnSuccess           // next answered, completely or in part
	OnError             // next failed
	OnComplete          // next answered, and nothing is missing
	OnIncomplete        // next failed, or something is missing
)

var momentNames = [...]string{"always", "on success", "on error", "on complete", "on incomplete"}

// String returns "always", "on success", "on error", "on complete" or "on incomplete".
func (m Moment) String() string {
	if int(m) >= len(momentNames) {
		return fmt.Sprintf("moment %d", uint8(m))
	}
	return momentNames[m]
}

// holds reports whether the data is due for what next came to.
func (m Moment) holds(failed, complete bool) bool {
	switch m {
	case OnSuccess:
		return !failed
	case OnError:
		return failed
	case OnComplete:
		return complete
	case OnIncomplete:
		return !complete
	}
	return true
}

// Static returns a decorator that adds the members of the object d to the answer of next: defaults, or what to show while
// an upstream is down.
//
//	page := proxy.Merge(parts...).With(shape.Response(ops...), proxy.Static(proxy.OnIncomplete, notice))
//
// On an answer it fills in, at the end, the members of d that are not there. It never overwrites: a member that is there
// stays, null too, and is not looked into, so an object in it is not filled. An answer without a document gets d, and
// status 200 in place of 204 or 205; nothing else of the response changes. A stream passes as it is. A document that is no
// object cannot be filled: that is an [*Error] of status 502 that wraps [ErrNotObject].
//
// Where next failed, and when holds, the answer is d with status 200, and Err of the response is the error: it is partial.
// That covers up any failure, a refusal with 401 or 404 too; what refuses requests stands outside of Static. Not covered up
// is the error of a call whose client is gone, nor http.ErrAbortHandler. A call that somebody else has cancelled is.
//
// What hangs until the deadline leaves no time to answer without it: put a policy.Timeout inside.
//
// Static panics if d is no object, or there is no such moment. It keeps no state and changes no document.
func Static(when Moment, d Document) Decorator {
	if int(when) >= len(momentNames) {
		panic(fmt.Sprintf("proxy: Static: there is no %s", when))
	}
	if d.Kind() != Object {
		panic(fmt.Sprintf("proxy: Static: the document is %s, want an object", d.Kind()))
	}
	f := newFiller(when, d)
	step := pipe.Step{Kind: "static", Detail: f.detail(), Source: pipe.Here(), Acts: pipe.Out, Effects: pipe.CallsOnce}
	return func(next Proxy) Proxy {
		call := func(ctx context.Context, req *Request) (*Response, error) {
			res, err := Checked(next(ctx, req))
			if err != nil {
				return f.cover(ctx, err)
			}
			return f.complete(res)
		}
		return pipe.Describe(call, step, next)
	}
}

// A filler adds static members.
type filler struct {
	when  Moment
	doc   Document
	names []string
	texts [][]byte       // of the members, each with a comma before it
	index map[string]int // of a name
	size  int            // of all texts
}

func newFiller(when Moment, d Document) *filler {
	d, _ = MergeObjects(-1, d) // each name once; an object always merges
	f := &filler{when: when, doc: d.Clip(), index: map[string]int{}}
	for name, value := range d.Members() {
		text := value.AppendJSON(append(appendQuoted([]byte{','}, name), ':'))
		f.index[name] = len(f.names)
		f.names, f.texts = append(f.names, name), append(f.texts, text)
		f.size += len(text)
	}
	return f
}

func (f *filler) detail() string {
	const few = 5
	switch n := len(f.names); {
	case n == 0:
		return f.when.String() + ": nothing"
	case n > few:
		return fmt.Sprintf("%s: %d members", f.when, n)
	}
	return f.when.String() + ": " + strings.Join(f.names, ", ")
}

// cover answers in place of an error.
func (f *filler) cover(ctx context.Context, err error) (*Response, error) {
	if !f.when.holds(true, false) || errors.Is(err, http.ErrAbortHandler) ||
		StatusOf(err) == StatusClientGone && gone(ctx, err) || errors.Is(ctx.Err(), context.Canceled) {
		return nil, err
	}
	return &Response{Status: http.StatusOK, Header: headerFor(Described(ctx)), Document: f.doc, Err: err}, nil
}

// complete fills the document of an answer.
func (f *filler) complete(res *Response) (*Response, error) {
	if res.open() || !f.when.holds(false, res.Err == nil) {
		return res, nil
	}
	switch kind := res.Document.Kind(); kind {
	case Object:
		res.Document = f.fill(res.Document)
	case Absent:
		res.Document = f.doc
		if res.Status == http.StatusNoContent || res.Status == http.StatusResetContent {
			res.Status = http.StatusOK
		}
	default:
		_ = res.Close()
		return nil, &Error{Status: http.StatusBadGateway, Op: "static", Err: fmt.Errorf("%w: the root is %s", ErrNotObject, kind)}
	}
	return res, nil
}

// fill adds what an object lacks, in time in proportion to its members and ours.
func (f *filler) fill(doc Document) Document {
	spans, b := doc.n.members(), doc.n.bytes()
	var room [32]bool // of the stack
	found, missing := room[:], len(f.names)
	if missing > len(room) {
		found = make([]bool, missing)
	}
	for i := range spans {
		name := b[spans[i].name+1 : spans[i].nameEnd-1]
		if bytes.IndexByte(name, '\\') >= 0 {
			name = appendUnescaped(nil, name)
		}
		if k, ok := f.index[string(name)]; ok && !found[k] {
			found[k] = true
			missing--
		}
	}
	if missing == 0 {
		return doc
	}
	text := make([]byte, 0, f.size)
	for k := range f.texts {
		if !found[k] {
			text = append(text, f.texts[k]...)
		}
	}
	if len(spans) == 0 {
		text = text[1:] // no comma before the first
	}
	end := len(b) - 1
	return splice(b, []edit{{from: end, to: end, head: text}})
}
