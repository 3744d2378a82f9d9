package proxy_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/sluice-go/sluice/proxy"
)

func TestATryKnowsTheHostsOfTheOthers(t *testing.T) {
	t.Parallel()
	first := proxy.WithTry(t.Context())
	one, two, three := proxy.TryOf(first), proxy.TryOf(proxy.NextTry(first)), proxy.TryOf(proxy.NextTry(proxy.NextTry(first)))
	for i, try := range []*proxy.Try{one, two} {
		assert.Equal(t, i+1, try.Number())
	}
	assert.Equal(t, 4, three.Number(), "NextTry of the second")

	one.Use("a")
	one.Use("b")
	two.Use("b")
	two.Use("b")
	for _, c := range []struct {
		try  *proxy.Try
		host string
		used bool
	}{
		{one, "a", false}, // by itself
		{one, "b", true},  // by the second, at the same time
		{two, "a", true},
		{two, "b", true}, // by itself, and by the first
		{three, "a", true},
		{three, "c", false},
	} {
		assert.Equal(t, c.used, c.try.Used(c.host), "%s for try %d", c.host, c.try.Number())
	}
}

func TestPoliciesAroundEachOtherShareTheTries(t *testing.T) {
	t.Parallel()
	outer := proxy.WithTry(t.Context())
	within, cancel := context.WithTimeout(outer, time.Hour)
	defer cancel()
	assert.Same(t, proxy.TryOf(outer), proxy.TryOf(proxy.WithTry(within)), "the first try of both")
	hedged := proxy.TryOf(proxy.NextTry(within))
	hedged.Use("a")
	assert.Equal(t, 3, proxy.TryOf(proxy.NextTry(outer)).Number())
	assert.True(t, proxy.TryOf(proxy.NextTry(outer)).Used("a"))
}

func TestACallThatNothingRepeatsHasNoTry(t *testing.T) {
	t.Parallel()
	none := proxy.TryOf(t.Context())
	assert.Nil(t, none)
	none.Use("a")
	assert.False(t, none.Used("a"))
	assert.Equal(t, 1, none.Number())
	assert.Equal(t, 1, proxy.TryOf(proxy.NextTry(t.Context())).Number())
}

func TestTheContextOfATryIsThatOfItsCall(t *testing.T) {
	t.Parallel()
	type key struct{}
	parent, cancel := context.WithCancel(context.WithValue(t.Context(), key{}, "value"))
	for _, ctx := range []context.Context{proxy.WithTry(parent), proxy.NextTry(proxy.WithTry(parent))} {
		assert.Equal(t, "value", ctx.Value(key{}))
		child, end := context.WithCancel(ctx)
		defer end()
		defer func() { assert.ErrorIs(t, child.Err(), context.Canceled) }()
	}
	defer cancel()
}

func TestTriesAreSafeForConcurrentUse(t *testing.T) {
	t.Parallel()
	ctx := proxy.WithTry(t.Context())
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			try := proxy.TryOf(proxy.NextTry(ctx))
			try.Use("a")
			try.Used("b")
		})
	}
	all.Wait()
	assert.Equal(t, 10, proxy.TryOf(proxy.NextTry(ctx)).Number())
	assert.True(t, proxy.TryOf(ctx).Used("a"))
}
