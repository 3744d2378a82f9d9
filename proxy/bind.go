package proxy

import (
	"errors"
	"fmt"
	"net/http"

	"github.com/sluice-go/sluice/internal/call"
	"github.com/sluice-go/sluice/internal/field"
	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/proxy/document"
)

// A Binding sets a param of a [Sequence] stage from the document of an earlier stage. Create one
// with [Bind].
type Binding struct {
	param, stage, text string
	path               document.Path
	err                error // of the path
	source             string
}

// Bind returns a binding that sets a param of a stage's request to a scalar from the document of an
// earlier stage. The earlier stage is given by its name, the scalar by its path in the document.
// The param replaces a param of the route with the same name:
//
//	proxy.Stage{Proxy: orders, Bind: []proxy.Binding{proxy.Bind("account", "user", "account.id")}}
//
// The param is the text that [document.Document.Text] returns for a string, number or bool,
// unchanged. The stage fails if the value is missing, is of another kind, is empty, or must not be
// in a URL: a dot, two dots, or text with NUL, CR or LF. The error is a [*BindError] in an [*Error]
// of status 502, because the fault is an upstream's. The plan shows the binding as a step that
// gives the param.
//
// Sequence reports wrong arguments: a name that is not a valid placeholder name, a path that is not
// valid (see [document.ParsePath]) or has a wildcard, and a stage that does not exist or is not
// called earlier.
func Bind(param, stage, path string) Binding {
	p, err := document.ParsePath(path)
	return Binding{param: param, stage: stage, text: path, path: p, err: err, source: pipe.Here()}
}

// A BindError says why a param could not be bound.
type BindError struct {
	Param string
	Stage string // where the value was to come from
	Path  string // of the value, in the document of Stage
	Err   error  // the failure of Stage, document.ErrAbsent if there is no value, or what is wrong with it
}

// Error returns the param, the path, the stage and the reason in one line. It contains no byte of
// the document.
func (e *BindError) Error() string {
	return fmt.Sprintf("bind %s: %s of stage %s: %v", e.Param, e.Path, e.Stage, e.Err)
}

// Unwrap returns Err.
func (e *BindError) Unwrap() error { return e.Err }

var (
	errUnsafe  = errors.New("the value is not safe in a URL: it is empty, a dot or two dots, or contains NUL, CR or LF")
	errSkipped = fmt.Errorf("the stage was skipped: %w", document.ErrAbsent)
)

// fault returns what is wrong with the binding, apart from its stage.
func (b *Binding) fault() error {
	switch {
	case !call.IsParam(b.param):
		return errors.New("the name is not a valid placeholder name")
	case b.err != nil:
		return b.err
	case b.path.HasWildcard():
		return fmt.Errorf("the path %q has a wildcard, so it leads to no single value", b.text)
	}
	return nil
}

// value returns the value of the param from the result of the stage.
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
		Effects: pipe.CallsOnce | pipe.PassesOn | pipe.HonoursContext, Gives: []string{b.param}}
}
