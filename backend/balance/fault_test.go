package balance_test

import (
	"net/http"
	"testing"

	"github.com/go-chi/chi/v5"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-go/sluice/adapter"
	"github.com/sluice-go/sluice/backend"
	"github.com/sluice-go/sluice/backend/balance"
	"github.com/sluice-go/sluice/endpoint"
	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/proxy"
	"github.com/sluice-go/sluice/router"
)

// proves T6
func TestAPoolWithAFaultRefusesEverything(t *testing.T) {
	t.Parallel()
	faulty, err := balance.New(balance.Spec{Name: "items", Resolver: balance.Static("a", "b")})
	require.Error(t, err)
	noFunc, err := balance.FactoryFunc(nil).New(balance.Spec{Name: "items"})
	require.Error(t, err)
	tests := []struct {
		name string
		pool *balance.Pool
		want string
	}{
		{"faults of the Spec", faulty, `balance: pool items: host "a" has no port` + "\n" + `balance: pool items: host "b" has no port`},
		{"no factory", noFunc, "balance: FactoryFunc: the function is nil"},
		{"nil", nil, "balance: the pool is nil"},
		{"the zero value", &balance.Pool{}, "balance: the pool was not made by New"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			p := tt.pool
			assert.EqualError(t, p.Fault(), tt.want)
			assert.EqualError(t, p.Plan().Err, tt.want)
			assert.EqualError(t, p.State().Err, tt.want)
			assert.EqualError(t, p.Run(t.Context()), tt.want)
			assert.EqualError(t, p.Ready(t.Context()), tt.want)
			_, err := get(t.Context(), p)
			assert.EqualError(t, err, tt.want)
			assert.Equal(t, http.StatusInternalServerError, proxy.StatusOf(err))
			assert.Empty(t, p.Hosts())
			assert.True(t, p.HonoursContext(), "it refuses at once")
			p.Mark()
			p.CloseIdleConnections()

			err = adapter.Run(t.Context(), adapter.Server{Addr: "127.0.0.1:0", Handler: http.NotFoundHandler()}, p)
			assert.ErrorContains(t, err, "runner 1 (*balance.Pool): "+tt.want)
		})
	}
}

// A fault of a pool comes with all other faults, each with the name of its backend.
func TestAFaultOfAPoolIsOneOfMount(t *testing.T) {
	t.Parallel()
	items, _ := balance.New(balance.Spec{Name: "items", Resolver: balance.Static("a", "b")})
	of := func(pool *balance.Pool, name, url string) proxy.Proxy {
		return pipe.Check(backend.HTTP{Transport: pool}.New(backend.Spec{Name: name, Method: "GET", URL: url}))
	}
	err := router.Mount(chi.NewRouter(),
		router.Route{Method: "GET", Pattern: "/items", Endpoint: endpoint.Spec{Proxy: of(items, "items", "items.internal/items")}},
		router.Route{Method: "GET", Pattern: "/orders", Endpoint: endpoint.Spec{Proxy: of(nil, "orders", "http://orders.internal/")}},
	)
	for _, want := range []string{
		`backend items: url:`,
		`backend items: transport: balance: pool items: host "a" has no port`,
		`backend items: transport: balance: pool items: host "b" has no port`,
		`backend orders: transport: balance: the pool is nil`,
	} {
		assert.ErrorContains(t, err, want)
	}
}
