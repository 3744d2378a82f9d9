package proxy_test

import (
	"testing"

	"github.com/sluice-go/sluice/proxy"
	"github.com/stretchr/testify/assert"
)

func TestParams(t *testing.T) {
	t.Parallel()
	var p proxy.Params
	assert.Empty(t, p.Get("id"))
	assert.Empty(t, p.Names())
	assert.Nil(t, p.Rest())
	p.Delete("id")

	p.Set("id", "a/b")
	p.Set("empty", "")
	p.Set("id", "5%3F{x}")
	assert.Equal(t, "5%3F{x}", p.Get("id"), "as it is, and in its first place")
	assert.Equal(t, []string{"id", "empty"}, p.Names())
	value, ok := p.Lookup("empty")
	assert.True(t, ok)
	assert.Empty(t, value)
	_, ok = p.Lookup("ID")
	assert.False(t, ok, "names are exact")

	p.Delete("id")
	assert.Equal(t, []string{"empty"}, p.Names())
	_, ok = p.Lookup("id")
	assert.False(t, ok)

	one, two := p, p
	one.Set("empty", "1")
	one.Set("x", "1")
	two.Set("y", "2")
	assert.Equal(t, []string{"empty", "x"}, one.Names(), "copies are independent")
	assert.Equal(t, []string{"empty", "y"}, two.Names())
	assert.Empty(t, p.Get("empty"))

	p.SetRest("a", "", "b/c", "")
	assert.Equal(t, []string{"a", "", "b/c", ""}, p.Rest())
}
