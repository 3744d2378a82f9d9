package bench_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"testing"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/sluice-go/sluice/backend"
	"github.com/sluice-go/sluice/bench/byhand"
	"github.com/sluice-go/sluice/endpoint"
	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/proxy"
	"github.com/sluice-go/sluice/proxy/flow"
	"github.com/sluice-go/sluice/proxy/policy"
	"github.com/sluice-go/sluice/router"
	"golang.org/x/sync/errgroup"
)

// These are the parts of a page. A wide record names all members of an upstream's answer, a narrow
// one only those that the page shows.
type (
	flowRecord interface{ id() string }
	flowWide   struct {
		ID      string  `json:"xId"`
		Version int     `json:"xVersion"`
		Active  bool    `json:"xActive"`
		Note    *string `json:"xNote"`
		Owner   struct {
			ID      int    `json:"id"`
			Name    string `json:"name"`
			Address struct {
				City string    `json:"city"`
				Zip  string    `json:"zip"`
				Geo  []float64 `json:"geo"`
			} `json:"address"`
		} `json:"xOwner"`
		Items []struct {
			ID    int            `json:"id"`
			SKU   string         `json:"sku"`
			Name  string         `json:"name"`
			Price float64        `json:"price"`
			Tags  []string       `json:"tags"`
			Stock map[string]int `json:"stock"`
		} `json:"xItems"`
		Total float64 `json:"xTotal"`
	}
	flowNarrow struct {
		ID    string `json:"xId"`
		Owner struct {
			Address struct {
				City string `json:"city"`
			} `json:"address"`
		} `json:"xOwner"`
		Items []struct {
			ID   int    `json:"id"`
			Name string `json:"name"`
		} `json:"xItems"`
	}
	flowPage[T any] struct {
		User     T `json:"user"`
		Orders   T `json:"orders"`
		Recs     T `json:"recs"`
		Products T `json:"products"`
	}
)

func (f flowWide) id() string   { return f.ID }
func (f flowNarrow) id() string { return f.ID }

// flowUpstreams answers /user/1, the paths that its answer names and those that the orders name,
// with 20 KB each.
func flowUpstreams() memory {
	part := store(byhand.Document("x", partSize))
	return memory{"/user/1": part, "/orders/x-4711": part, "/recs/x-4711": part, "/products/x-4711": part}
}

// flowGateway mounts a graph of four calls: the user, at once the orders and the recommendations,
// and the products of the orders.
func flowGateway[T flowRecord](b *testing.B) http.Handler {
	b.Helper()
	f := backend.Decorate(backend.HTTP{Transport: flowUpstreams()}, func(backend.Spec) proxy.Decorator { return policy.Timeout(time.Second) })
	decoded := func(name, param string) pipe.Pipe[*proxy.Request, T] {
		return proxy.Decode[T](pipe.Check(f.New(backend.Spec{Name: name, URL: "http://" + name + ".test/" + name + "/{" + param + "}",
			Headers: []string{"Accept-Language"}})))
	}
	account := flow.Param("account", func(v T) string { return v.id() })
	user := flow.Call("user", decoded("user", "id"))
	orders := flow.Then("orders", user, account, decoded("orders", "account"))
	recs := flow.Then("recs", user, account, decoded("recs", "account"))
	products := flow.Then("products", orders, account, decoded("products", "account"))
	page := proxy.Encode(flow.Join4(user, orders, recs, products, func(u, o, r, p T) (flowPage[T], error) { return flowPage[T]{u, o, r, p}, nil }))
	r := chi.NewRouter()
	if err := router.Mount(r, router.Route{Method: "GET", Pattern: "/page/{id}", Endpoint: endpoint.Spec{Proxy: page}}); err != nil {
		b.Fatal(err)
	}
	return r
}

// flowByHand does the same, written by hand.
func flowByHand[T flowRecord]() http.Handler {
	h := &byhand.Aggregator{Client: &http.Client{Transport: flowUpstreams()}, Base: "http://upstream.test"}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /page/{id}", func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), 10*time.Second)
		defer cancel()
		fail := func() { http.Error(w, http.StatusText(http.StatusBadGateway), http.StatusBadGateway) }
		get := func(ctx context.Context, path string, into *T) error {
			b, err := h.Get(ctx, path, r.Header.Get("Accept-Language"))
			if err != nil {
				return err
			}
			return json.Unmarshal(b, into)
		}
		var page flowPage[T]
		if get(ctx, "/user/"+url.PathEscape(r.PathValue("id")), &page.User) != nil {
			fail()
			return
		}
		group, ctx := errgroup.WithContext(ctx)
		account := url.PathEscape(page.User.id())
		group.Go(func() error {
			if err := get(ctx, "/orders/"+account, &page.Orders); err != nil {
				return err
			}
			return get(ctx, "/products/"+url.PathEscape(page.Orders.id()), &page.Products)
		})
		group.Go(func() error { return get(ctx, "/recs/"+account, &page.Recs) })
		if group.Wait() != nil {
			fail()
			return
		}
		body, err := json.Marshal(page)
		if err != nil {
			fail()
			return
		}
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Content-Length", strconv.Itoa(len(body)))
		_, _ = w.Write(body)
	})
	return mux
}

func BenchmarkFlow(b *testing.B) {
	b.Run("wide/sluice", func(b *testing.B) { serve(b, flowGateway[flowWide](b), "/page/1", 3*partSize) })
	b.Run("wide/by-hand", func(b *testing.B) { serve(b, flowByHand[flowWide](), "/page/1", 3*partSize) })
	b.Run("narrow/sluice", func(b *testing.B) { serve(b, flowGateway[flowNarrow](b), "/page/1", partSize/2) })
	b.Run("narrow/by-hand", func(b *testing.B) { serve(b, flowByHand[flowNarrow](), "/page/1", partSize/2) })
}
