package proxy

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"slices"

	"github.com/sluice-go/sluice/proxy/document"
)

// A Combine makes the document of a merge from the results of its parts. The results come in
// declared order and include skipped and failed parts. The document may have any root, or be
// absent. Shallow, Deep, Concat and Disjoint are ready-made; a function of your own may call them
// with some of the results.
//
// A Combine is called once per request, after all parts, and only if no required part has failed.
// It should be quick and depend only on its arguments. The ready-made ones end with ctx, and their
// error then wraps that of ctx. A Combine owns the slice of results, but must not change the
// headers in it. Documents cannot be changed.
type Combine func(ctx context.Context, parts Results) (document.Document, error)

// MergeWith is [Merge] with another way to combine the documents of the parts. A nil combine is
// [Shallow].
//
// The Combine functions of this package require a certain root, and a part with another root fails.
// A function of your own gets any root. It runs on a goroutine of its own. If it panics or calls
// runtime.Goexit, the merge fails with a [*pipe.PanicError]. If it ignores its context, it is
// abandoned at the deadline, like a part. Its error is the error of the merge, with the status that
// [StatusOf] finds in it.
func MergeWith(combine Combine, parts ...Part) Proxy {
	return newMerge(Spec{Parts: parts, Combine: combine})
}

// Shallow makes one object with the members of all objects, as [Merge] does. Of members with the
// same name, the first determines the place and the last the value. In a merge, the limit of
// members is that of the [Spec]; when your code calls Shallow, it is the default of
// [document.Merge].
//
// A root that is not an object is an [*Error] of status 502 that names the part and wraps
// [document.ErrNotObject].
func Shallow(ctx context.Context, parts Results) (document.Document, error) {
	return shallow.of(ctx, parts)
}

// Deep is like [Shallow], but if all members with the same name are objects, it merges them in
// turn, at any depth. Any other value, an array too, is replaced by a later one; an object that
// follows such a value starts anew. Of equal names within one object, the last counts.
//
// Objects nested deeper than 10,000 levels are refused with [document.ErrDepth]. Parsers accept far
// fewer levels by default; see [document.DefaultDepth].
func Deep(ctx context.Context, parts Results) (document.Document, error) { return deep.of(ctx, parts) }

// Concat makes one array with the elements of all arrays in declared order. A part without a
// document adds nothing; if no part has a document, the array is empty.
//
// A root that is not an array is an [*Error] of status 502 that names the part and wraps
// [document.ErrNotArray].
func Concat(ctx context.Context, parts Results) (document.Document, error) {
	return concat.of(ctx, parts)
}

// Disjoint is [Shallow] for parts that must not have members of the same name. If two parts do, the
// error is an [*Error] of status 502 that names both parts and the member, and wraps
// [document.ErrConflict]. Equal names within one part are allowed.
func Disjoint(ctx context.Context, parts Results) (document.Document, error) {
	return disjoint.of(ctx, parts)
}

// A method is a way to make one document of those of the parts.
type method uint8

const (
	custom method = iota // a function of the user
	shallow
	deep
	concat
	disjoint
)

var methodNames = [...]string{"combined by a function", "", "deep", "concat", "disjoint"}

// methodOf recognizes the Combine functions of this package by their code.
func methodOf(combine Combine) method {
	if combine == nil {
		return shallow
	}
	code := reflect.ValueOf(combine).Pointer()
	own := [...]Combine{shallow: Shallow, deep: Deep, concat: Concat, disjoint: Disjoint}
	for m := shallow; m <= disjoint; m++ {
		if reflect.ValueOf(own[m]).Pointer() == code {
			return m
		}
	}
	return custom
}

// unfit returns why the method cannot use document i.
func (m method) unfit(i int, d document.Document) error {
	kind := d.Kind()
	switch {
	case m == custom || kind == document.Absent:
		return nil
	case m == concat && kind != document.Array:
		return misfit{&document.MergeError{Index: i, Err: fmt.Errorf("%w: the root is %s", document.ErrNotArray, kind)}}
	case m != concat && kind != document.Object:
		return misfit{&document.MergeError{Index: i, Err: fmt.Errorf("%w: the root is %s; group it", document.ErrNotObject, kind)}}
	}
	return nil
}

// A misfit is a MergeError for an error text that already names the part. A policy that retries
// looks for a MergeError, because the same documents would fit no better.
type misfit struct{ err *document.MergeError }

func (e misfit) Error() string { return e.err.Err.Error() }

func (e misfit) Unwrap() error { return e.err }

// of combines the documents of parts, as a Combine does.
func (m method) of(ctx context.Context, parts Results) (document.Document, error) {
	docs := make([]document.Document, len(parts))
	for i := range parts {
		docs[i] = parts[i].Document
		if err := m.unfit(i, docs[i]); err != nil {
			return document.Document{}, &Error{Status: http.StatusBadGateway, Err: fmt.Errorf("part %s: %w", parts[i].Name, err)}
		}
	}
	return m.merge(ctx, "", 0, func(i int) string { return parts[i].Name }, docs...)
}

// merge makes one document of ds, until ctx ends. Its error is an *Error of this Op.
func (m method) merge(ctx context.Context, op string, max int, name func(int) string, ds ...document.Document) (d document.Document, err error) {
	w := document.Work{Context: ctx}
	switch m {
	case deep:
		d, err = w.MergeDeep(max, ds...)
	case disjoint:
		d, err = w.MergeDisjoint(max, ds...)
	case concat:
		d, err = w.Concat(ds...)
	default:
		d, err = w.Merge(max, ds...)
	}
	return d, workError(op, http.StatusBadGateway, blame(err, name))
}

// blame replaces the indices in a *MergeError with the names of the parts.
func blame(err error, name func(int) string) error {
	e, ok := errors.AsType[*document.MergeError](err)
	if !ok {
		return err
	}
	if c, ok := errors.AsType[*document.ConflictError](e.Err); ok {
		e = &document.MergeError{Index: e.Index, Err: fmt.Errorf("%w: %s is in part %s too", document.ErrConflict, c.Quoted(), name(c.Index))}
	}
	return fmt.Errorf("part %s: %w", name(e.Index), misfit{e})
}

// custom runs the user's Combine until the context ends.
func (c *mergeCall) custom() (document.Document, error) {
	t := &combineCall{combine: c.merge.combine, parts: c.results()}
	t.branch = branch{Ctx: &c.ctx, Task: t, Bound: c.merge.bound, Close: closeResponse}
	res, err := t.branch.Await()
	if err != nil {
		return document.Document{}, &Error{Op: "merge", Err: fmt.Errorf("combine: %w", err)}
	}
	return res.Document, nil
}

// A combineCall is one call of a user's Combine.
type combineCall struct {
	branch  branch
	combine Combine
	parts   Results
}

// Do calls the user's Combine.
func (t *combineCall) Do(ctx context.Context) (*Response, error) {
	d, err := t.combine(ctx, t.parts)
	return &Response{Document: d}, err
}

// Arrived does nothing, because the caller waits.
func (t *combineCall) Arrived() {}

// results returns the result of each part.
func (c *mergeCall) results() Results {
	rs := slices.Grow(Results(nil), len(c.branches))
	for i := range c.branches {
		b := &c.branches[i]
		res, err := b.branch.Result()
		rs = append(rs, resultOf(b.part.Name, res, err, err == nil && b.skipped))
	}
	return rs
}
