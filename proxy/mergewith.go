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

// A Combine makes the document of a merge from the results of its parts, which come in declared order, skipped and failed
// ones among them. The document may have any root, also none. Shallow, Deep, Concat and Disjoint are ready ones; one of
// your own may call them with some of the results.
//
// It is called once per request, after all parts, and only if no required part has failed. It should be quick and look at
// nothing but its arguments. Results is its own; the documents cannot be changed and the headers must not be.
type Combine func(ctx context.Context, parts Results) (document.Document, error)

// MergeWith is [Merge] with another way to make one document of the parts. A nil combine is [Shallow].
//
// A combine of this package asks the parts for the root it can use, and a part with another one has failed. A function of
// yours takes any root. It runs on a goroutine of its own: when it panics or calls runtime.Goexit, the merge fails with
// a [*pipe.PanicError], and when it ignores its context it is abandoned at the deadline as a part would be. Its error is
// the error of the merge, with the status that [StatusOf] finds in it.
func MergeWith(combine Combine, parts ...Part) Proxy {
	return newMerge(Spec{Parts: parts, Combine: combine})
}

// Shallow makes one object with the members of all objects, as [Merge] does: of members with equal names the first gives
// the place and the last the value. See [document.Merge] for the limit of members that it has when code calls it; in a
// merge it is that of the [Spec].
//
// A root that is no object is an [*Error] of status 502 that names the part and wraps [document.ErrNotObject].
func Shallow(_ context.Context, parts Results) (document.Document, error) { return shallow.of(parts) }

// Deep is [Shallow], but where members of equal names are all objects they are merged in turn, at any depth. Anything else
// is replaced by what comes later, arrays too, and an object that follows it begins anew. Of equal names within one
// object the last counts.
//
// Objects nested deeper than 10,000, which no parser with a limit lets in, are refused with [document.ErrDepth].
func Deep(_ context.Context, parts Results) (document.Document, error) { return deep.of(parts) }

// Concat makes one array with the elements of all arrays in declared order; a part without a document adds nothing, and
// without any the array is empty.
//
// A root that is no array is an [*Error] of status 502 that names the part and wraps [document.ErrNotArray].
func Concat(_ context.Context, parts Results) (document.Document, error) { return concat.of(parts) }

// Disjoint is [Shallow] for parts that must not have a member of the same name: two that have are an [*Error] of status
// 502 that names both and the member, and wraps [document.ErrConflict]. Equal names within one part are none of its business.
func Disjoint(_ context.Context, parts Results) (document.Document, error) { return disjoint.of(parts) }

// A method is how the documents of the parts become one.
type method uint8

const (
	custom method = iota // a function of the user
	shallow
	deep
	concat
	disjoint
)

var methodNames = [...]string{"combined by a function", "", "deep", "concat", "disjoint"}

// methodOf knows our own functions by their code.
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

// unfit says why the method cannot use document i.
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

// A misfit is a MergeError where the document has a name, which is said around it. What tries again looks for a MergeError:
// the same documents would fit no better.
type misfit struct{ err *document.MergeError }

func (e misfit) Error() string { return e.err.Err.Error() }

func (e misfit) Unwrap() error { return e.err }

// of is the method as a Combine.
func (m method) of(parts Results) (document.Document, error) {
	docs := make([]document.Document, len(parts))
	for i := range parts {
		docs[i] = parts[i].Document
		if err := m.unfit(i, docs[i]); err != nil {
			return document.Document{}, &Error{Status: http.StatusBadGateway, Err: fmt.Errorf("part %s: %w", parts[i].Name, err)}
		}
	}
	d, err := m.merge(0, docs...)
	if err != nil {
		err = blame(err, func(i int) string { return parts[i].Name })
		return document.Document{}, &Error{Status: http.StatusBadGateway, Err: err}
	}
	return d, nil
}

// merge makes one document of ds; its error is a *MergeError.
func (m method) merge(max int, ds ...document.Document) (document.Document, error) {
	switch m {
	case deep:
		return document.MergeDeep(max, ds...)
	case disjoint:
		return document.MergeDisjoint(max, ds...)
	case concat:
		return document.Concat(ds...)
	}
	return document.Merge(max, ds...)
}

// blame names the parts where a *MergeError has indices.
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

// custom runs the function of the user, for as long as the context lasts.
func (c *mergeCall) custom() (document.Document, error) {
	t := &combineCall{combine: c.merge.combine, parts: c.results()}
	t.branch = branch{Ctx: &c.ctx, Task: t, Bound: c.merge.bound, Close: closeResponse}
	res, err := t.branch.Await()
	if err != nil {
		return document.Document{}, &Error{Op: "merge", Err: fmt.Errorf("combine: %w", err)}
	}
	return res.Document, nil
}

// A combineCall is one call of a function that combines.
type combineCall struct {
	branch  branch
	combine Combine
	parts   Results
}

// Do combines.
func (t *combineCall) Do(ctx context.Context) (*Response, error) {
	d, err := t.combine(ctx, t.parts)
	return &Response{Document: d}, err
}

// Arrived does nothing: the caller waits.
func (t *combineCall) Arrived() {}

// results returns what came of each part.
func (c *mergeCall) results() Results {
	rs := slices.Grow(Results(nil), len(c.branches))
	for i := range c.branches {
		b := &c.branches[i]
		res, err := b.branch.Result()
		rs = append(rs, resultOf(b.part.Name, res, err, err == nil && b.skipped))
	}
	return rs
}
