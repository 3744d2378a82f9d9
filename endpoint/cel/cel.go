package cel

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"

	"github.com/sluice-go/sluice/endpoint/auth"
	"github.com/sluice-go/sluice/internal/mark"
	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/proxy"
)

// DefaultMaxCost is how much one evaluation may cost by default.
const DefaultMaxCost = 100_000

// A Spec describes an expression. Only Expr is required.
type Spec struct {
	Name string // in the plan and in errors; "" shows the expression
	Expr string // in CEL; its type must be bool

	// Vars are variables in addition to those of the package, by name. A name is one identifier, or several
	// with dots, such as "req_params" or "tenant.limits". A name is a fault in the plan if it has another
	// form, is a word of CEL, or begins like a variable of the package.
	Vars map[string]Var

	// MaxCost is how much one evaluation may cost, in the units of CEL: about one for each variable,
	// operator and step of a loop, and one for ten characters that are compared. 0 is [DefaultMaxCost],
	// which is some milliseconds, and a negative MaxCost is no limit. An expression that cannot stay within
	// MaxCost is a fault in the plan. One that exceeds it during an evaluation refuses.
	MaxCost int64
}

// A Var returns the value of a variable. It is called at most once in an evaluation, and only if the
// expression reads the variable. It must not change the request and the answer, nor read a body. res is nil
// in [AllowWith]. A Var is called concurrently.
//
// The value may be a [document.Document], nil, a bool, number, string, []byte, time.Time or time.Duration,
// or a slice or map of those with keys of one type. It must not be changed afterwards. Its type in the
// expression is dyn. Any other value is an error of the expression that reads it. So is a value more than
// 1,000 levels deep, such as a map that contains itself.
//
// An error refuses, whatever the rest of the expression says, with the status of a [*proxy.Error] in it, or
// else with 403. A panic refuses with 500.
type Var func(ctx context.Context, req *proxy.Request, res *proxy.Response) (any, error)

// Allow returns a decorator that refuses a request unless the expression is true:
//
//	cel.Allow(`req.method == "GET" || "editor" in caller.roles`)
//
// The package documentation lists the variables and says how a request is refused. An invalid expression is
// a fault in the plan. The decorator has no state and is safe for concurrent use.
func Allow(expr string) proxy.Decorator { return AllowWith(Spec{Expr: expr}) }

// AllowWith is [Allow] with a name, further variables, or another limit.
func AllowWith(s Spec) proxy.Decorator {
	p, err := compile("Allow", s, false)
	if err != nil {
		return proxy.Fault(err)
	}
	step := p.step(pipe.Here())
	step.Acts, step.Effects, step.Mark = pipe.In, step.Effects|pipe.Validates, mark.Borrows() // it sees no response
	return func(next proxy.Proxy) proxy.Proxy {
		next = pipe.Described(next)
		serve := func(ctx context.Context, req *proxy.Request) (*proxy.Response, error) {
			if err := p.judge(ctx, req, nil); err != nil {
				return nil, err
			}
			return next(ctx, req)
		}
		return pipe.Describe(serve, step, next)
	}
}

// Answer returns a decorator that refuses an answer unless the expression is true:
//
//	cel.Answer(`res.status < 300 && res.data.owner == caller.id`)
//
// By then next has been called, and what it has done stays done. The refused answer is closed. An error of
// next is returned without an evaluation. Otherwise Answer is like [Allow].
func Answer(expr string) proxy.Decorator { return AnswerWith(Spec{Expr: expr}) }

// AnswerWith is [Answer] with a name, further variables, or another limit.
func AnswerWith(s Spec) proxy.Decorator {
	p, err := compile("Answer", s, true)
	if err != nil {
		return proxy.Fault(err)
	}
	step := p.step(pipe.Here())
	step.Acts = pipe.Out
	return func(next proxy.Proxy) proxy.Proxy {
		next = pipe.Described(next)
		serve := func(ctx context.Context, req *proxy.Request) (*proxy.Response, error) {
			res, err := next(ctx, req)
			if err != nil || res == nil {
				return res, err
			}
			passes := false
			defer func() {
				if !passes {
					_ = res.Close()
				}
			}()
			if err := p.judge(ctx, req, res); err != nil {
				return nil, err
			}
			passes = true
			return res, nil
		}
		return pipe.Describe(serve, step, next)
	}
}

// step returns what the plan shows of the expression.
func (p *program) step(source string) pipe.Step {
	s := pipe.Step{Mark: mark.Ours(), Kind: "cel", Name: p.spec.Name, Detail: p.spec.Expr, Source: source,
		Effects: pipe.CallsOnce | pipe.PassesOn, Takes: p.reads.headers, Needs: p.reads.params}
	if p.reads.caller {
		s.Effects |= pipe.ReadsCaller
	}
	if p.reads.client {
		s.Effects |= pipe.ReadsClient
	}
	if p.reads.code {
		s.Effects |= pipe.Opaque
	}
	return s
}

// judge returns why the expression lets nothing pass, or nil if it is true.
func (p *program) judge(ctx context.Context, req *proxy.Request, res *proxy.Response) error {
	ok, err := false, ctx.Err()
	if err == nil {
		ok, err = p.eval(ctx, req, res)
	}
	switch {
	case ok && err == nil:
		return nil
	case ctx.Err() != nil:
		return &proxy.Error{Op: "cel", Err: ctx.Err()}
	case err == nil:
		return p.refusal(errors.New("it is false"))
	}
	return p.refusal(err)
}

// refusal returns the error of an expression that is not true.
func (p *program) refusal(why error) error {
	e := &proxy.Error{Status: http.StatusForbidden, Op: "cel", Err: fmt.Errorf("%s: %w: %w", p.title, auth.ErrDenied, why)}
	if _, panicked := errors.AsType[*pipe.PanicError](why); panicked {
		e.Status, e.Err = http.StatusInternalServerError, fmt.Errorf("%s: %w", p.title, why)
	} else if own, ok := errors.AsType[*proxy.Error](why); ok && own.Status != 0 {
		e.Status, e.Err = own.Status, fmt.Errorf("%s: %w", p.title, why)
	}
	return e
}

// maxTitle is how much of an expression an error shows.
const maxTitle = 200

// titleOf returns what errors call an expression, on one line.
func titleOf(s Spec) string {
	switch {
	case s.Name != "":
		return strconv.Quote(s.Name)
	case len(s.Expr) > maxTitle:
		return strconv.Quote(s.Expr[:maxTitle]) + "…"
	}
	return strconv.Quote(s.Expr)
}
