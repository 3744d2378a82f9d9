package balance_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/sluice-go/sluice/backend"
	"github.com/sluice-go/sluice/backend/balance"
	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/proxy"
	"github.com/sluice-go/sluice/proxy/policy"
)

// Two hosts of one service, of which one is ill. The second try goes to the other one.
func Example() {
	host := func(status int) *httptest.Server {
		return httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(status)
			fmt.Fprintf(w, `{"service":%q}`, r.Host)
		}))
	}
	well, ill := host(200), host(503)
	defer well.Close()
	defer ill.Close()

	hosts, err := balance.New(balance.Spec{
		Name:     "items",
		Resolver: balance.Static(well.Listener.Addr().String(), ill.Listener.Addr().String()),
		Pick:     balance.RoundRobin(),
	})
	if err != nil {
		log.Fatal(err)
	}
	defer hosts.CloseIdleConnections()

	items := pipe.Check(backend.HTTP{Transport: hosts}.New(backend.Spec{Name: "items", URL: "http://items.internal/items/{id}", Given: []string{"id"}})).
		With(policy.Retry(policy.Attempts{}))
	fmt.Print(pipe.PlanOf(items))

	for range 3 {
		req := proxy.NewRequest("GET", "/items/7")
		req.Params.Set("id", "7")
		res, err := items(context.Background(), req)
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(res.Document)
		_ = res.Close()
	}
	// Output:
	// ↔ retry (3 tries of idempotent methods)
	//   ↔ backend items (http://items.internal/items/{id})
	//     ↔ pool items (round robin, 2 static hosts)
	// {"service":"items.internal"}
	// {"service":"items.internal"}
	// {"service":"items.internal"}
}

func ExampleNew_faults() {
	_, err := balance.New(balance.Spec{
		Name:       "items",
		Resolver:   balance.Static("10.0.0.1", "10.0.0.2:8080"),
		Pick:       balance.Hash(balance.ByHeader("")),
		MaxEjected: 50,
	})
	fmt.Println(err)
	// Output:
	// balance: pool items: host "10.0.0.1" has no port
	// balance: pool items: the Key of the Pick names no header and has no function
	// balance: pool items: MaxEjected is 50, want at most 1
}

// A resolver of one's own, as for a registry of services. It decides nothing but which hosts there
// are.
func ExampleResolverFunc() {
	registry := func(context.Context) (map[string]int, error) {
		return map[string]int{"10.0.0.1:8080": 3, "10.0.0.2:8080": 1}, nil
	}
	hosts, err := balance.New(balance.Spec{Name: "items", Resolver: balance.ResolverFunc(func(ctx context.Context) ([]balance.Host, error) {
		weights, err := registry(ctx)
		var hosts []balance.Host
		for address, weight := range weights {
			hosts = append(hosts, balance.Host{Address: address, Weight: weight})
		}
		return hosts, err
	})})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(hosts.Ready(context.Background())) // the first question
	for _, h := range hosts.Hosts() {
		fmt.Println(h.Address, h.Weight, h.State)
	}
	// Output:
	// <nil>
	// 10.0.0.1:8080 3 up
	// 10.0.0.2:8080 1 up
}

// Faults of a pool come with all others where the pool is used.
func ExampleNew_mount() {
	items, _ := balance.New(balance.Spec{Name: "items", Resolver: balance.Static("10.0.0.1")}) // the pool keeps the error
	_, err := backend.HTTP{Transport: items}.New(backend.Spec{Name: "items", URL: "items.internal"})
	for line := range strings.Lines(err.Error()) {
		fault, _, _ := strings.Cut(strings.TrimSpace(line), " (balance_") // its place in the code follows
		fmt.Println(fault)
	}
	// Output:
	// backend items: url: the scheme is "", want http or https
	// backend items: transport: balance: pool items: host "10.0.0.1" has no port
}

// How the hosts are, for operators. This belongs on the router of the admin server.
func ExamplePool_State() {
	hosts, err := balance.New(balance.Spec{Name: "items", Resolver: balance.Static("10.0.0.1:8080")})
	if err != nil {
		log.Fatal(err)
	}
	debug := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(hosts.State())
	})

	w := httptest.NewRecorder()
	debug(w, httptest.NewRequest("GET", "/debug/hosts", nil))
	var state struct {
		Hosts   json.RawMessage `json:"hosts"`
		Running bool            `json:"running"`
	}
	if err := json.Unmarshal(w.Body.Bytes(), &state); err != nil {
		log.Fatal(err)
	}
	fmt.Println(string(state.Hosts), state.Running)
	// Output:
	// [{"address":"10.0.0.1:8080","weight":1,"priority":0,"state":"up","load":0}] false
}

func ExamplePool_withoutHosts() {
	hosts, err := balance.New(balance.Spec{Name: "items", Resolver: balance.ResolverFunc(func(context.Context) ([]balance.Host, error) {
		return nil, balance.ErrWithdrawn
	})})
	if err != nil {
		log.Fatal(err)
	}
	items := pipe.Check(backend.HTTP{Transport: hosts}.New(backend.Spec{Name: "items", URL: "http://items.internal/items"}))
	_, err = items(context.Background(), proxy.NewRequest("GET", "/"))
	fmt.Println(proxy.StatusOf(err), errors.Is(err, balance.ErrNoHosts))
	fmt.Println(err)
	// Output:
	// 503 true
	// backend items: send: balance: pool items: there are no hosts: the service is not offered
}
