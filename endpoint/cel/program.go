package cel

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/cost"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"

	"github.com/sluice-go/sluice/proxy"
	"github.com/sluice-go/sluice/proxy/document"
)

// checkEvery is after how many steps of loops an evaluation looks at its context.
const checkEvery = 100

// A program is an expression that was compiled. It is safe for concurrent use.
type program struct {
	spec   Spec
	title  string // of the expression, in errors
	run    cel.Program
	reads  reads
	values []variable // that the expression reads
}

// reads is what an expression reads of a request, for the plan.
type reads struct {
	headers []string // as pipe.Step.Takes
	params  []string // that must be there
	caller  bool
	client  bool // its address
	code    bool // of a user: a Var
}

// compile compiles an expression. The error joins all that is wrong with the spec.
func compile(of string, s Spec, answers bool) (*program, error) {
	p := &program{spec: s, title: titleOf(s)}
	var errs []error
	fault := func(format string, args ...any) {
		errs = append(errs, fmt.Errorf("cel: %s: %s: %w", of, p.title, fmt.Errorf(format, args...)))
	}
	declared := standard(answers)
	for _, name := range slices.Sorted(maps.Keys(s.Vars)) {
		switch first, _, _ := strings.Cut(name, "."); {
		case !isName(name):
			fault("Vars: %q is not a name", name)
		case reserved(first):
			fault("Vars: %q begins like a variable of the package", name)
		case s.Vars[name] == nil:
			fault("Vars: the function of %q is nil", name)
		default:
			declared = append(declared, variable{name, cel.DynType, nil, s.Vars[name]})
		}
	}
	options := []cel.EnvOption{cel.CustomTypeAdapter(adapter{}), cel.CrossTypeNumericComparisons(true), cel.DefaultUTCTimeZone(true)}
	for _, v := range declared {
		options = append(options, cel.Variable(v.name, v.kind))
	}
	env, err := cel.NewEnv(options...)
	if err != nil {
		fault("%w", err)
		return nil, errors.Join(errs...)
	}
	if strings.TrimSpace(s.Expr) == "" {
		fault("there is no expression")
		return nil, errors.Join(errs...)
	}
	compiled, issues := env.Compile(s.Expr)
	if issues.Err() != nil {
		for _, e := range issues.Errors() {
			fault("%d:%d: %s", e.Location.Line(), e.Location.Column()+1, e.Message)
		}
		return nil, errors.Join(errs...)
	}
	if !compiled.OutputType().IsExactType(cel.BoolType) {
		hint := ""
		if compiled.OutputType().IsExactType(cel.DynType) {
			hint = `: compare it, as in "== true"`
		}
		fault("it is %s and not bool%s", compiled.OutputType(), hint)
	}
	programs := []cel.ProgramOption{cel.EvalOptions(cel.OptOptimize), cel.InterruptCheckFrequency(checkEvery)}
	if s.MaxCost >= 0 {
		most := uint64(s.MaxCost)
		if most == 0 {
			most = DefaultMaxCost
		}
		if estimate, err := env.EstimateCost(compiled, unknownSizes{}); err == nil && estimate.Min > most {
			fault("it costs at least %d, and may cost %d", estimate.Min, most)
		}
		programs = append(programs, cel.CostLimit(most))
	}
	if p.run, err = env.Program(compiled, programs...); err != nil {
		fault("%w", err)
	}
	p.look(compiled.NativeRep(), declared)
	return p, errors.Join(errs...)
}

// unknownSizes is an estimator to which a variable may have any size.
type unknownSizes struct{}

func (unknownSizes) EstimateCallCost(string, string, *cost.AstNode, []cost.AstNode) *cost.CallEstimate {
	return nil
}

func (unknownSizes) EstimateSize(cost.AstNode) *cost.SizeEstimate { return nil }

// look finds out which variables the expression reads, and what of them.
func (p *program) look(a *ast.AST, declared []variable) {
	names := map[string]bool{}
	for _, e := range ast.MatchDescendants(ast.NavigateAST(a), ast.KindMatcher(ast.IdentKind)) {
		name := e.AsIdent()
		if ref := a.ReferenceMap()[e.ID()]; ref != nil && ref.Name != "" {
			name = ref.Name
		}
		names[name] = true
		switch key, reads := keyOf(e); {
		case name == "req.headers" && key == "":
			p.reads.headers = append(p.reads.headers, "*")
		case name == "req.headers":
			p.reads.headers = append(p.reads.headers, key)
		case name == "req.params" && key != "" && reads:
			p.reads.params = append(p.reads.params, key)
		case strings.HasPrefix(name, "caller."):
			p.reads.caller = true
		case name == "req.remote":
			p.reads.client = true
		}
	}
	for _, v := range declared {
		if names[v.name] {
			p.values = append(p.values, v)
			p.reads.code = p.reads.code || v.code != nil
		}
	}
	if slices.Contains(p.reads.headers, "*") {
		p.reads.headers = []string{"*"}
	}
	p.reads.headers = canonical(p.reads.headers)
	slices.Sort(p.reads.params)
	p.reads.params = slices.Compact(p.reads.params)
}

// keyOf returns the key that an expression asks a map for, or "" if it is not written in the
// expression, and whether the value is read.
func keyOf(e ast.NavigableExpr) (key string, reads bool) {
	around, ok := e.Parent()
	if !ok {
		return "", false
	}
	switch around.Kind() {
	case ast.SelectKind:
		return around.AsSelect().FieldName(), !around.AsSelect().IsTestOnly()
	case ast.CallKind:
		call := around.AsCall()
		args := call.Args()
		if len(args) != 2 {
			return "", false
		}
		other := args[0]
		switch call.FunctionName() {
		case operators.Index:
			other, reads = args[1], true
		case operators.In:
		default:
			return "", false
		}
		if other.Kind() == ast.LiteralKind {
			if text, ok := other.AsLiteral().(types.String); ok {
				return string(text), reads
			}
		}
	}
	return "", false
}

// eval evaluates the expression.
func (p *program) eval(ctx context.Context, req *proxy.Request, res *proxy.Response) (bool, error) {
	in := &inputs{ctx: ctx, req: req, res: res, variables: p.values, values: make([]any, len(p.values)),
		adapter: adapter{made: map[document.Document]ref.Val{}}}
	out, _, err := p.run.ContextEval(ctx, in)
	switch {
	case in.err != nil: // even if the expression can do without the variable
		return false, in.err
	case err != nil:
		return false, fmt.Errorf("%q", err.Error()) // it may have bytes of a client
	}
	return out == types.True, nil
}
