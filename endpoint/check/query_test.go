package check_test

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-go/sluice/endpoint/check"
	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/pipe/pipetest"
	"github.com/sluice-go/sluice/proxy"
	"github.com/sluice-go/sluice/proxy/proxytest"
)

func asked(query string) *proxy.Request {
	req := proxy.NewRequest("GET", "/orders")
	req.Query, _ = url.ParseQuery(query)
	req.RawQuery = query
	return req
}

// refusal returns what a client is told, or "" if the request passes.
func refusal(t *testing.T, d proxy.Decorator, query string) string {
	t.Helper()
	upstream, calls := counted()
	_, err := upstream.With(d)(t.Context(), asked(query))
	if err == nil {
		assert.Equal(t, 1, *calls)
		return ""
	}
	assert.Zero(t, *calls)
	assert.ErrorIs(t, err, check.ErrQuery)
	assert.Equal(t, http.StatusBadRequest, proxy.StatusOf(err))
	e, ok := err.(*proxy.Error)
	require.True(t, ok)
	return e.Members.String()
}

func TestQueryChecksValues(t *testing.T) {
	t.Parallel()
	page := check.Param{Name: "v", Value: check.Int(1, 100)}
	tests := []struct {
		name  string
		param check.Param
		query string
		want  string // what is said of the parameter; "" passes
	}{
		{"an int", page, "v=7", ""},
		{"the least int", page, "v=1", ""},
		{"the greatest int", page, "v=100", ""},
		{"below", page, "v=0", "must be a whole number from 1 to 100"},
		{"above", page, "v=101", "must be a whole number from 1 to 100"},
		{"a plus sign", page, "v=%2B7", "must be a whole number from 1 to 100"},
		{"a leading zero", page, "v=07", "must be a whole number from 1 to 100"},
		{"a fraction", page, "v=7.0", "must be a whole number from 1 to 100"},
		{"an exponent", page, "v=1e1", "must be a whole number from 1 to 100"},
		{"digits of another script", page, "v=%D9%A7", "must be a whole number from 1 to 100"},
		{"beyond 64 bits", page, "v=99999999999999999999", "must be a whole number from 1 to 100"},
		{"empty", page, "v=", "must be a whole number from 1 to 100"},
		{"absent", page, "w=1", ""},
		{"twice", page, "v=1&v=2", "must be given once at most"},
		{"a negative int", check.Param{Name: "v", Value: check.Int(-5, -1)}, "v=-5", ""},
		{"minus nought", check.Param{Name: "v", Value: check.Int(-5, 5)}, "v=-0", "must be a whole number from -5 to 5"},
		{"required", check.Param{Name: "v", Required: true}, "", "is required"},
		{"required and empty", check.Param{Name: "v", Required: true}, "v=", ""},
		{"true", check.Param{Name: "v", Value: check.Bool()}, "v=true", ""},
		{"not quite true", check.Param{Name: "v", Value: check.Bool()}, "v=True", "must be true or false"},
		{"one of", check.Param{Name: "v", Value: check.OneOf("date", "name")}, "v=name", ""},
		{"none of", check.Param{Name: "v", Value: check.OneOf("date", "name")}, "v=na", "must be one of date, name"},
		{"matching", check.Param{Name: "v", Value: check.Match("^[A-Z]{3}$")}, "v=ABC", ""},
		{"not matching", check.Param{Name: "v", Value: check.Match("^[A-Z]{3}$")}, "v=ABC%0A", "must match ^[A-Z]{3}$"},
		{"matching and long", check.Param{Name: "v", Value: check.Match("a")}, "v=" + strings.Repeat("a", 4097), "must match a"},
		{"characters", check.Param{Name: "v", Value: check.Text(1, 2)}, "v=%C3%A4%C3%B6", ""},
		{"too many characters", check.Param{Name: "v", Value: check.Text(1, 2)}, "v=abc", "must have 1 to 2 characters"},
		{"too few characters", check.Param{Name: "v", Value: check.Text(1, 2)}, "v=", "must have 1 to 2 characters"},
		{"a control character", check.Param{Name: "v", Value: check.Text(1, 9)}, "v=a%00", "must have 1 to 9 characters"},
		{"no UTF-8", check.Param{Name: "v", Value: check.Text(1, 9)}, "v=%ff", "must have 1 to 9 characters"},
		{"any text", check.Param{Name: "v"}, "v=%00", ""},
		{"a long text", check.Param{Name: "v"}, "v=" + strings.Repeat("a", 4097), "must have 4096 bytes at most"},
		{"as often as it may", check.Param{Name: "v", Most: 2}, "v=1&v=2", ""},
		{"more often", check.Param{Name: "v", Most: 2}, "v=1&v=2&v=3", "must be given 2 times at most"},
		{"any number of times", check.Param{Name: "v", Most: -1}, strings.Repeat("v=1&", 50), ""},
		{"one bad value of several", check.Param{Name: "v", Value: check.Int(1, 9), Most: -1}, "v=1&v=x", "must be a whole number from 1 to 9"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got := refusal(t, check.Query(tt.param), tt.query)
			if tt.want == "" {
				assert.Empty(t, got)
				return
			}
			assert.JSONEq(t, `{"detail":"the query is not as it must be","errors":[{"parameter":"v","detail":"`+tt.want+`"}]}`, got)
		})
	}
}

func TestQueryNamesEachWrongParameterOnce(t *testing.T) {
	t.Parallel()
	d := check.Query(check.Param{Name: "a", Value: check.Bool()}, check.Param{Name: "b", Required: true}, check.Param{Name: "c"})
	assert.JSONEq(t, `{"detail":"the query is not as it must be","errors":[
		{"parameter":"a","detail":"must be true or false"},{"parameter":"b","detail":"is required"}]}`, refusal(t, d, "a=x&c=1"))
}

// proves H14
func TestQueryTellsNothingThatTheClientSent(t *testing.T) {
	t.Parallel()
	d := check.QueryWith(check.QuerySpec{Only: true, Params: []check.Param{{Name: "page", Value: check.Int(1, 9)}}})
	told := refusal(t, d, "page=%3Cscript%3E&%3Cimg%3E=%3Ca%3E")
	assert.JSONEq(t, `{"detail":"the query is not as it must be","errors":[
		{"parameter":"page","detail":"must be a whole number from 1 to 9"},{"detail":"there is a parameter that is not known"}]}`, told)
	upstream, _ := counted()
	_, err := upstream.With(d)(t.Context(), asked("secret=1"))
	assert.EqualError(t, err, "check: the query is not as it must be")
}

func TestQueryLetsOtherParametersPassUnlessToldOtherwise(t *testing.T) {
	t.Parallel()
	assert.Empty(t, refusal(t, check.Query(check.Param{Name: "page"}), "page=1&utm=2"))
	only := check.QueryWith(check.QuerySpec{Params: []check.Param{{Name: "page"}}, Only: true})
	assert.Empty(t, refusal(t, only, "page=1"))
	assert.NotEmpty(t, refusal(t, only, "page=1&utm=2"))
	none := check.QueryWith(check.QuerySpec{Only: true})
	assert.Empty(t, refusal(t, none, ""))
	assert.NotEmpty(t, refusal(t, none, "utm"))
}

func TestQueryFaults(t *testing.T) {
	t.Parallel()
	leaf, _ := counted()
	faults := func(d proxy.Decorator) string { return pipetest.Faults(pipe.PlanOf(leaf.With(d))) }
	assert.Equal(t, "check: Query: there are no parameters", faults(check.Query()))
	got := faults(check.Query(check.Param{}, check.Param{Name: "a", Value: check.Int(2, 1)}, check.Param{Name: "a", Value: check.Match("(")},
		check.Param{Name: "b", Value: check.OneOf()}, check.Param{Name: "c", Value: check.Text(3, 2)}))
	for _, want := range []string{
		"check: Query: parameter 1 has no Name",
		`check: Query: the parameter "a": Int: min is 2, which is above max, 1`,
		`check: Query: the parameter "a" is there twice`,
		`check: Query: the parameter "a": Match: error parsing regexp`,
		`check: Query: the parameter "b": OneOf: there is no text`,
		`check: Query: the parameter "c": Text: min is 3 and max is 2, want 0 ≤ min ≤ max`,
	} {
		assert.Contains(t, got, want)
	}
}

func TestTheStepsAreOurs(t *testing.T) {
	t.Parallel()
	leaf, _ := counted()
	for step := range pipe.PlanOf(leaf.With(check.ContentType("a/b"), check.Query(check.Param{Name: "a"}))).All() {
		if step.Kind == "check" {
			assert.Equal(t, pipe.CallsOnce|pipe.PassesOn|pipe.Validates, step.Effects)
		}
	}
}

func TestQueryKeepsTheLaws(t *testing.T) {
	t.Parallel()
	proxytest.Conform(t, check.Query(check.Param{Name: "page", Value: check.Int(1, 9)}))
	proxytest.Conform(t, check.Query(check.Param{Name: "absent", Required: true}), proxytest.Options{Answers: true})
}

func TestAGoodRequestCostsNoAllocation(t *testing.T) {
	res := &proxy.Response{}
	upstream := proxy.Proxy(func(context.Context, *proxy.Request) (*proxy.Response, error) { return res, nil })
	p := upstream.With(check.ContentType("application/json"), check.Query(check.Param{Name: "page", Value: check.Int(1, 9)}))
	req := asked("page=7")
	req.ContentLength = -1
	req.Header.Set("Content-Type", "application/json")
	ctx := t.Context()
	assert.Zero(t, testing.AllocsPerRun(100, func() { _, _ = p(ctx, req) }))
}
