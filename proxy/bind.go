package proxy

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/sluice-go/sluice/internal/call"
	"github.com/sluice-go/sluice/internal/field"
	"github.com/sluice-go/sluice/internal/mark"
	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/proxy/document"
)

// A Binding sets a part of the request of a [Sequence] stage from the answer of an earlier stage.
// Create one with [Bind], [BindHeader], [BindQuery] or [BindBody].
//
// A stage with a binding that cannot be made is not called and fails: the value is missing, or
// cannot be sent. The error is a [*BindError] in an [*Error] of status 502, because the fault is an
// upstream's. The plan shows each binding as a step.
//
// Sequence reports wrong arguments: a name or path that is not valid, a path with a wildcard, and a
// stage that does not exist or is not called earlier.
type Binding struct {
	target target
	name   string // of what is set; "" for a body
	stage  string
	header string        // of the answer; "" if the value is in the document
	text   string        // the path as it was given
	path   document.Path // of the value in the document
	err    error         // of the path
	source string
}

// A target is what a binding sets in a request.
type target string

const (
	toParam  target = ""
	toHeader target = "header"
	toQuery  target = "query"
	toBody   target = "body"
)

// Bind returns a binding that sets a param of a stage's request to a scalar from the document of an
// earlier stage. The earlier stage is given by its name, the scalar by its path in the document.
// The param replaces a param of the route with the same name:
//
//	proxy.Stage{Proxy: orders, Bind: []proxy.Binding{proxy.Bind("account", "user", "account.id")}}
//
// The param is the text that [document.Document.Text] returns for a string, number or bool,
// unchanged. The stage fails if the value is missing, is of another kind, is empty, "." or "..", or
// holds NUL, CR or LF; see [Binding]. The step in the plan gives the param.
//
// The name must be a valid placeholder name, and the path one of [document.ParsePath].
func Bind(param, stage, path string) Binding { return bindValue(toParam, param, stage, path) }

// BindHeader returns a binding that sets a header of a stage's request to a header from the answer
// of an earlier stage. The earlier stage is given by its name. A from of "" means that both headers
// have the same name:
//
//	login := backend.Spec{Name: "login", URL: "http://login/", Expose: []string{"X-Session"}}
//	…
//	proxy.Stage{Proxy: orders, Bind: []proxy.Binding{proxy.BindHeader("X-Session", "login", "")}}
//
// The answer has the headers that the proxy of the earlier stage gives, which for an upstream are
// those in Expose of its backend.Spec. Expose of the [Stage] is not needed: it is what the client
// gets.
//
// The header is set in Request.Upstream with all values that the answer has, so it is always sent.
// It replaces what the client and code have sent under its name or a twin of it, as
// shape.SetHeader does. The stage fails if the answer does not have the header, or if a value is
// empty or has a control character other than tab; see [Binding].
//
// The request header can be none that only the backend sets (hop-by-hop headers, Host and
// Content-Length), and none that describes a body, such as Content-Type. The header of the answer
// can be no hop-by-hop header.
func BindHeader(header, stage, from string) Binding {
	if from == "" {
		from = header
	}
	return Binding{target: toHeader, name: http.CanonicalHeaderKey(header), stage: stage,
		header: http.CanonicalHeaderKey(from), source: pipe.Here()}
}

// BindQuery returns a binding that sets a query parameter of a stage's request to a scalar from the
// document of an earlier stage. The scalar is read and checked as by [Bind], but may be "." or
// "..", which mean nothing in a query:
//
//	proxy.Stage{Proxy: orders, Bind: []proxy.Binding{proxy.BindQuery("account", "user", "account.id")}}
//
// The value replaces all that the client has sent under that name. The parameter always reaches the
// upstream, escaped; its Spec need not name it, because it is in Request.UpstreamQuery. If the URL
// of the Spec has the parameter too, the call fails with status 500; to fill a placeholder in a
// URL, as in ?account={account}, use Bind.
//
// The name is taken byte for byte and must not be empty.
func BindQuery(param, stage, path string) Binding { return bindValue(toQuery, param, stage, path) }

// BindBody returns a binding that makes the body of a stage's request from the document of an
// earlier stage. The body is the JSON text of the value at the path, whatever its kind, with every
// digit. A path of "" is the whole document:
//
//	proxy.Stage{Proxy: invoice, Bind: []proxy.Binding{proxy.BindBody("user", "account")}}
//
// The body replaces that of the client as [Request.SetBody] says: it has the content type
// application/json and a length, and it can be replayed. The stage fails if there is no value at
// the path; null is one. See [Binding]. The method stays: an upstream that is to get a body has a
// Method such as POST in its Spec, because a decoded upstream gets none with GET.
func BindBody(stage, path string) Binding {
	if path == "" {
		return Binding{target: toBody, stage: stage, source: pipe.Here()}
	}
	return bindValue(toBody, "", stage, path)
}

func bindValue(to target, name, stage, path string) Binding {
	p, err := document.ParsePath(path)
	return Binding{target: to, name: name, stage: stage, text: path, path: p, err: err, source: pipe.Here()}
}

// A BindError says why a [Binding] could not be made, or a param that a function makes, as with
// flow.Param.
type BindError struct {
	Target string // what could not be set: "header", "query" or "body"; "" for a param
	Param  string // the name of the param, header or query parameter; "" for a body
	Stage  string // where the value was to come from; "" if a function was to make it
	Header string // the header of the answer that was to be the value; "" if it was in the document
	Path   string // of the value, in the document of Stage; "" for the whole document or a header

	// Err is the failure of Stage, document.ErrAbsent if its document has no such value, or what is
	// wrong with the value.
	Err error
}

// Error returns what could not be set, where the value was to come from, and the reason, in one
// line. It contains no byte of the answer.
func (e *BindError) Error() string {
	text := "bind"
	for _, word := range [...]string{e.Target, e.Param} {
		if word != "" {
			text += " " + word
		}
	}
	if e.Stage != "" {
		text += ": " + origin(e.Header, e.Path) + " of stage " + e.Stage
	}
	return fmt.Sprintf("%s: %v", text, e.Err)
}

// Unwrap returns Err.
func (e *BindError) Unwrap() error { return e.Err }

// origin names the value in an answer.
func origin(header, path string) string {
	switch {
	case header != "":
		return "header " + header
	case path == "":
		return "the document"
	}
	return path
}

var (
	errSkipped  = fmt.Errorf("the stage was skipped: %w", document.ErrAbsent)
	errNoHeader = errors.New("there is no such header; a backend gives only those that its Expose names")
	errNoValue  = errors.New("the value is empty or contains a control character")
)

// faults returns all that is wrong with the binding, apart from its stage: the name of what is set,
// and where the value is in the answer.
func (b *Binding) faults() []error {
	errs := []error{b.nameFault(), b.originFault()}
	return slices.DeleteFunc(errs, func(err error) bool { return err == nil })
}

func (b *Binding) nameFault() error {
	switch {
	case b.target == toParam && !call.IsParam(b.name):
		return errors.New("the name is not a valid placeholder name")
	case b.target == toQuery && b.name == "":
		return errors.New("the name is empty")
	case b.target != toHeader:
		return nil
	}
	return field.CheckSet(b.name)
}

func (b *Binding) originFault() error {
	switch {
	case b.err != nil:
		return b.err
	case b.path.HasWildcard():
		return fmt.Errorf("the path %q has a wildcard, so it leads to no single value", b.text)
	case b.target != toHeader || b.header == b.name: // one name, and one fault
		return nil
	case !field.IsToken(b.header):
		return fmt.Errorf("the header %q of the answer is not the name of a header", b.header)
	case field.HopByHop(field.Twin(b.header)):
		return fmt.Errorf("the header %q of the answer belongs to the connection", b.header)
	}
	return nil
}

// clashes reports whether two bindings set the same.
func (b *Binding) clashes(other Binding) bool {
	return b.target == other.target && (b.name == other.name || b.target == toHeader && field.AreTwins(b.name, other.name))
}

// title names what is set, for a fault.
func (b *Binding) title() string {
	switch b.target {
	case toParam:
		return fmt.Sprintf("%q", b.name)
	case toBody:
		return "body"
	}
	return fmt.Sprintf("%s %q", b.target, b.name)
}

// apply sets in req what the binding says, from the result of its stage.
func (b *Binding) apply(ctx context.Context, req *Request, r *Result) error {
	err, status := b.set(ctx, req, r), http.StatusBadGateway
	switch {
	case err == nil:
		return nil
	case err == ctx.Err():
		status = 0 // that of the context, which has ended
	}
	return &Error{Status: status, Err: &BindError{Target: string(b.target), Param: b.name, Stage: b.stage,
		Header: b.header, Path: b.text, Err: err}}
}

func (b *Binding) set(ctx context.Context, req *Request, r *Result) error {
	switch {
	case r.Err != nil:
		return fmt.Errorf("the stage failed: %w", r.Err)
	case r.Skipped:
		return errSkipped
	case b.target == toHeader:
		return b.setHeader(req, r.Header[b.header])
	}
	d, err := document.Work{Context: ctx}.Get(r.Document, b.path)
	if err != nil {
		return err
	}
	return b.setValue(req, d)
}

func (b *Binding) setHeader(req *Request, values []string) error {
	if len(values) == 0 {
		return errNoHeader
	}
	for _, v := range values {
		if strings.Trim(v, " \t") == "" || !field.IsValue(v) {
			return errNoValue
		}
	}
	field.Delete(req.Header, b.name)
	field.Delete(req.Upstream, b.name)
	req.Upstream[b.name] = slices.Clone(values)
	return nil
}

func (b *Binding) setValue(req *Request, d document.Document) error {
	if d.IsZero() {
		return document.ErrAbsent
	}
	if b.target == toBody {
		req.SetBody("application/json", d.AppendJSON(make([]byte, 0, d.Size())))
		return nil
	}
	text, ok := d.Text()
	if !ok {
		return fmt.Errorf("the value is of kind %s, not a scalar", d.Kind())
	}
	check := field.CheckSegment
	if b.target == toQuery {
		check = field.CheckQuery
	}
	if err := check(text); err != nil {
		return err
	}
	if b.target == toQuery {
		req.Query[b.name] = []string{text}
		req.UpstreamQuery = append(req.UpstreamQuery, b.name)
	} else {
		req.Params.Set(b.name, text)
	}
	return nil
}

// step shows the binding in a plan.
func (b *Binding) step() pipe.Step {
	s := pipe.Step{Mark: mark.Borrows(), Kind: "bind", Name: b.name, Detail: origin(b.header, b.text) + " of " + b.stage, Source: b.source,
		Acts: pipe.In, Effects: pipe.CallsOnce | pipe.PassesOn | pipe.WritesRequest}
	if b.target == toParam {
		s.Gives = []string{b.name}
	} else {
		s.Kind += "-" + string(b.target)
	}
	return s
}
