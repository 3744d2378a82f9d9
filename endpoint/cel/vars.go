package cel

import (
	"context"
	"errors"
	"fmt"
	"net/textproto"
	"regexp"
	"slices"
	"strings"
	"time"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"

	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/proxy"
)

// A variable is what an expression may read. Either of its functions returns the value.
type variable struct {
	name string
	kind *cel.Type
	ours func(in *inputs) any
	code Var
}

var (
	text   = cel.StringType
	texts  = cel.ListType(cel.StringType)
	fields = cel.MapType(cel.StringType, texts)
)

// standard returns the variables of the package.
func standard(answers bool) []variable {
	all := []variable{
		{"req.method", text, func(in *inputs) any { return in.req.Method }, nil},
		{"req.path", text, func(in *inputs) any { return in.req.Path }, nil},
		{"req.host", text, func(in *inputs) any { return in.req.Host }, nil},
		{"req.remote", text, remote, nil},
		{"req.query", fields, func(in *inputs) any { return map[string][]string(in.req.Query) }, nil},
		{"req.headers", fields, headers, nil},
		{"req.params", cel.MapType(text, text), params, nil},
		{"caller.known", cel.BoolType, func(in *inputs) any { return in.req.Caller != nil }, nil},
		{"caller.id", text, known(func(c *proxy.Caller) any { return c.ID }), nil},
		{"caller.issuer", text, known(func(c *proxy.Caller) any { return c.Issuer }), nil},
		{"caller.scheme", text, known(func(c *proxy.Caller) any { return c.Scheme }), nil},
		{"caller.roles", texts, known(func(c *proxy.Caller) any { return c.Roles }), nil},
		{"caller.scopes", texts, known(func(c *proxy.Caller) any { return c.Scopes }), nil},
		{"caller.claims", cel.MapType(text, cel.DynType), known(claims), nil},
		{"now", cel.TimestampType, func(*inputs) any { return time.Now() }, nil},
	}
	if answers {
		all = append(all,
			variable{"res.status", cel.IntType, func(in *inputs) any { return in.res.StatusCode() }, nil},
			variable{"res.data", cel.DynType, data, nil},
			variable{"res.complete", cel.BoolType, func(in *inputs) any { return in.res.Err == nil }, nil})
	}
	return all
}

// reserved reports whether a name belongs to the package, or may do so one day.
func reserved(name string) bool {
	switch name {
	case "req", "res", "caller", "now":
		return true
	}
	return false
}

var namePattern = regexp.MustCompile(`^[_a-zA-Z][_a-zA-Z0-9]*(\.[_a-zA-Z][_a-zA-Z0-9]*)*$`)

// isName reports whether an expression can name a variable so.
func isName(name string) bool {
	if !namePattern.MatchString(name) {
		return false
	}
	for part := range strings.SplitSeq(name, ".") {
		switch part {
		case "as", "break", "const", "continue", "else", "false", "for", "function", "if", "import", "in", "let", "loop", "package",
			"namespace", "null", "return", "true", "var", "void", "while":
			return false
		}
	}
	return true
}

func remote(in *inputs) any {
	if addr := in.req.Remote.Addr(); addr.IsValid() {
		return addr.String()
	}
	return ""
}

func headers(in *inputs) any {
	all := make(map[string][]string, len(in.req.Header))
	for name, values := range in.req.Header {
		name = strings.ToLower(name)
		all[name] = append(slices.Clip(all[name]), values...)
	}
	return all
}

func params(in *inputs) any {
	all := map[string]string{}
	for _, name := range in.req.Params.Names() {
		all[name] = in.req.Params.Get(name)
	}
	return all
}

var errNobody = types.NewErr("nobody has verified who calls")

// known returns what is asked of a caller, or an error if there is none.
func known(f func(*proxy.Caller) any) func(*inputs) any {
	return func(in *inputs) any {
		if in.req.Caller == nil {
			return errNobody
		}
		return f(in.req.Caller)
	}
}

func claims(c *proxy.Caller) any {
	if c.Claims.IsZero() {
		return map[string]any{}
	}
	return c.Claims
}

func data(in *inputs) any {
	if in.res.Body != nil {
		return types.NewErr("the answer is a stream")
	}
	return in.res.Document
}

// canonical returns names of headers as net/http spells them, each once.
func canonical(names []string) []string {
	for i, name := range names {
		names[i] = textproto.CanonicalMIMEHeaderKey(name)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// inputs are the variables of one evaluation.
type inputs struct {
	ctx       context.Context
	req       *proxy.Request
	res       *proxy.Response // nil for a request
	variables []variable
	values    []any // as far as they are known
	adapter   adapter
	err       error // of a Var
}

// ResolveName returns the value of a variable.
func (in *inputs) ResolveName(name string) (any, bool) {
	for i, v := range in.variables {
		if v.name != name {
			continue
		}
		if in.values[i] == nil {
			in.values[i] = in.value(v)
		}
		return in.values[i], true
	}
	return nil, false
}

// Parent returns no other variables.
func (in *inputs) Parent() cel.Activation { return nil }

// value returns the value of a variable, which is not nil.
func (in *inputs) value(v variable) any {
	if v.ours != nil {
		return in.adapter.NativeToValue(v.ours(in))
	}
	value, err := in.ask(v.code)
	if err != nil {
		in.err = errors.Join(in.err, err)
		return types.NewErr("a variable has failed")
	}
	return in.adapter.NativeToValue(value)
}

// ask calls the function of a user. A panic is its error: CEL would take it for one of the
// expression. Of the value only the text is kept, because its methods are the user's.
func (in *inputs) ask(f Var) (value any, err error) {
	defer func() {
		if v := recover(); v != nil {
			err = pipe.NewPanicError(fmt.Sprint(v))
		}
	}()
	return f(in.ctx, in.req, in.res)
}
