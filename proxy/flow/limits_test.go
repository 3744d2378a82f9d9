package flow_test

import (
	"context"
	"net/http"
	"strconv"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/proxy"
	"github.com/sluice-go/sluice/proxy/flow"
)

// numbers returns a node with n distinct numbers, each twice.
func numbers(n int) flow.Node[[]int] {
	list := make([]int, 2*n)
	for i := range list {
		list[i] = i % n
	}
	return flow.Call("numbers", after(0, list))
}

// proves T15
func TestEachCallsNothingIfThereAreTooManyKeys(t *testing.T) {
	t.Parallel()
	never := func(context.Context, *proxy.Request) (int, error) { t.Error("called"); return 0, nil }
	none := func(*proxy.Request, int) error { t.Error("prepared"); return nil }
	for want, p := range map[string]typed[map[int]int]{
		"too many keys: 1001, the limit is 1000": flow.End(flow.Each("x", numbers(1001), same[int], none, never)),
		"too many keys: 4, the limit is 3":       flow.End(flow.EachWith(flow.Limits{Keys: 3}, "x", numbers(4), same[int], none, never)),
	} {
		_, err := p(t.Context(), get())
		assert.EqualError(t, err, "flow: node x: "+want)
		assert.ErrorIs(t, err, flow.ErrTooManyKeys)
		assert.Equal(t, http.StatusBadGateway, proxy.StatusOf(err))
	}
}

// proves T15
func TestEachCallsAsManyKeysAsItMay(t *testing.T) {
	t.Parallel()
	for n, node := range map[int]flow.Node[map[int]int]{
		flow.DefaultKeys:     flow.Each("x", numbers(flow.DefaultKeys), same[int], as[int], after(0, 1)),
		3:                    flow.EachWith(flow.Limits{Keys: 3}, "x", numbers(3), same[int], as[int], after(0, 1)),
		flow.DefaultKeys + 1: flow.EachWith(flow.Limits{Keys: 5000}, "x", numbers(flow.DefaultKeys+1), same[int], as[int], after(0, 1)),
	} {
		v, err := flow.End(node)(t.Context(), get())
		require.NoError(t, err)
		assert.Len(t, v, n)
	}
}

func TestAnOptionalEachWithTooManyKeysIsMissing(t *testing.T) {
	t.Parallel()
	each := flow.Each("x", numbers(1001), same[int], as[int], after(0, 1))
	res, err := proxy.Encode(flow.Join2(flow.Optional(each), flow.Call("n", after(0, 1)), func(m flow.Maybe[map[int]int], n int) (int, error) {
		return len(m.Value) + n, nil
	}))(t.Context(), get())
	require.NoError(t, err)
	assert.Equal(t, "1", res.Document.String())
	assert.EqualError(t, res.Err, "node x: too many keys: 1001, the limit is 1000")
}

func TestEachShowsItsLimits(t *testing.T) {
	t.Parallel()
	for want, node := range map[string]flow.Node[map[int]int]{
		"8 at once, at most 1000 keys":          flow.Each("x", numbers(1), same[int], as[int], leaf("x")),
		"3 at once, at most 50 keys":            flow.EachWith(flow.Limits{Parallel: 3, Keys: 50}, "x", numbers(1), same[int], as[int], leaf("x")),
		"8 at once, at most 50 keys, gives key": flow.EachWith(flow.Limits{Keys: 50}, "x", numbers(1), same[int], flow.Param("key", strconv.Itoa), leaf("x")),
	} {
		assert.Equal(t, want, pipe.PlanOf(flow.End(node)).Find("x")[0].Detail)
	}
}
