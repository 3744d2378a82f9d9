package proxy_test

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/pipe/pipetest"
	"github.com/sluice-go/sluice/proxy"
)

func TestGivesOnlySaysWhatCodeSets(t *testing.T) {
	t.Parallel()
	names := []string{"account"}
	p := answers(t, 0, `{"a":1}`).With(proxy.Gives(names...))
	names[0] = "changed"
	assert.Equal(t, []string{"account"}, pipe.PlanOf(p).Gives)
	res, err := p(t.Context(), get())
	assert.NoError(t, err)
	assert.Equal(t, `{"a":1}`, res.Document.String())
}

func TestGivesWithoutNamesIsAFault(t *testing.T) {
	t.Parallel()
	p := uncalled(t).With(proxy.Gives())
	assert.Equal(t, "proxy: Gives: there are no names", pipetest.Faults(pipe.PlanOf(p)))
	assert.ErrorContains(t, pipe.PlanOf(p).Faults(), "(gives_test.go:")
	_, err := p(t.Context(), get())
	assert.EqualError(t, err, "proxy: Gives: there are no names")
}

func TestEncodeOfAResponseIsAWiringMistake(t *testing.T) {
	t.Parallel()
	assertFault(t, "proxy: Encode: the pipe answers with a *Response, which is not a value to encode: decode it first", proxy.Encode(answers(t, 0, `{}`)))
}

func TestBindTakesTheNamesThatPlaceholdersHave(t *testing.T) {
	t.Parallel()
	leaf := answers(t, 0, `{"a":1}`)
	with := func(param string) *pipe.Step {
		return pipe.PlanOf(proxy.Sequence(proxy.Stage{Name: "one", Proxy: leaf},
			proxy.Stage{Name: "two", Proxy: leaf, Bind: []proxy.Binding{proxy.Bind(param, "one", "a")}}))
	}
	for _, param := range []string{"a", "account_id", "a-b.c", "A7"} {
		assert.NoError(t, with(param).Faults(), param)
	}
	for _, param := range []string{"", "ho tel", "a/b", "ü", "{a}", "*"} {
		assert.Error(t, with(param).Faults(), param)
	}
}
