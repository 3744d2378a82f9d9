package proxy

import (
	"errors"
	"fmt"
	"net/http"

	"github.com/sluice-go/sluice/internal/field"
	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/proxy/document"
)

// A Binding gives a stage of a [Sequence] a param from the document of an earlier one. [Bind] makes it.
type Binding struct {
	param, stage, text string
	path               document.Path
	err                error // of the path
	source             string
}

// Bind returns the binding of a param of a stage's request to the scalar at a path of the document of an earlier stage,
// which its name tells. It replaces a param of the route of the same name:
//
//	proxy.Stage{Proxy: orders, Bind: []proxy.Binding{proxy.Bind("account", "user", "account.id")}}
//
// The param is what [document.Document.Text] says of a string, number or bool, as it came. A stage whose value is missing, of
// another kind, empty, or such that no URL may have it (a dot or two, or with NUL, CR or LF) fails with a [*BindError] in an
// [*Error] of status 502, for it is an upstream that is at fault. The plan shows the binding as a step that gives the param.
//
// What is wrong with its arguments Sequence says: a name that no placeholder can have, a path that is none (see
// [document.ParsePath]) or has a wildcard, a stage that is none or is not called before.
func Bind(param, stage, path string) Binding {
	p, err := document.ParsePath(path)
	return Binding{param: param, stage: stage, text: path, path: p, err: err, source: pipe.Here()}
}

// A BindError says why a param could not be bound.
type BindError struct {
	Param string
	Stage string // that the value was to come from
	Path  string // of the value in the document of Stage
	Err   error  // the failure of Stage, ErrAbsent where there is no value, or what is wrong with it
}

// Error returns the param, the place and the reason in one line. It holds no byte of the document.
func (e *BindError) Error() string {
	return fmt.Sprintf("bind %s: %s of stage %s: %v", e.Param, e.Path, e.Stage, e.Err)
}

// Unwrap returns Err.
func (e *BindError) Unwrap() error { return e.Err }

var (
	errUnsafe  = errors.New("the value cannot stand in a URL: it is empty, a dot or two, or has NUL, CR or LF")
	errSkipped = fmt.Errorf("the stage was skipped: %w", document.ErrAbsent)
)

// fault says what is wrong with the binding by itself.
func (b *Binding) fault() error {
	switch {
	case !isPlaceholder(b.param):
		return errors.New("the name is none of a placeholder")
	case b.err != nil:
		return b.err
	case b.path.HasWildcard():
		return fmt.Errorf("the path %q has a wildcard, which leads to no scalar", b.text)
	}
	return nil
}

// isPlaceholder reports whether a placeholder can have the name, as package backend has it.
func isPlaceholder(name string) bool {
	for i := range len(name) {
		c := name[i]
		if !('a' <= c|0x20 && c|0x20 <= 'z' || '0' <= c && c <= '9' || c == '_' || c == '-' || c == '.') {
			return false
		}
	}
	return name != ""
}

// value returns the value from what came of the stage.
func (b *Binding) value(r *Result) (string, error) {
	d := r.Document.Get(b.path)
	text, ok := d.Text()
	var err error
	switch {
	case r.Err != nil:
		err = fmt.Errorf("the stage failed: %w", r.Err)
	case r.Skipped:
		err = errSkipped
	case d.IsZero():
		err = document.ErrAbsent
	case !ok:
		err = fmt.Errorf("the value is of kind %s, not a scalar", d.Kind())
	case text == "" || !field.ValidSegment(text):
		err = errUnsafe
	default:
		return text, nil
	}
	return "", &Error{Status: http.StatusBadGateway, Err: &BindError{Param: b.param, Stage: b.stage, Path: b.text, Err: err}}
}

// step shows the binding in a plan.
func (b *Binding) step() *pipe.Step {
	return &pipe.Step{Kind: "bind", Name: b.param, Detail: b.text + " of " + b.stage, Source: b.source, Acts: pipe.In,
		Effects: pipe.CallsOnce | pipe.HonoursContext, Gives: []string{b.param}}
}
