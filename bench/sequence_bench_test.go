package bench_test

import (
	"context"
	"encoding/json"
	"fmt"
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
	"github.com/sluice-go/sluice/proxy/policy"
	"github.com/sluice-go/sluice/router"
	"golang.org/x/time/rate"
)

// chained answers /a/1 with 20 KB that name the path of b, whose answer names that of c.
func chained() memory {
	return memory{
		"/a/1":     store(byhand.Document("", partSize)),
		"/b/42":    store(byhand.Document("", partSize)),
		"/c/-4711": store(byhand.Document("", partSize)),
	}
}

// BenchmarkSequence calls three upstreams one after another, each with a value from the answer
// before, and answers with all three documents, each under its name.
//
// The peers do the same. "by-hand-typed" has a type for each document, as is usual, so it drops
// members that upstreams add later. "by-hand" decodes no more than it needs for the next call.
func BenchmarkSequence(b *testing.B) {
	b.Run("sluice", func(b *testing.B) { serve(b, sequence(b), "/page/1", 3*partSize-2000) })
	b.Run("by-hand-typed", func(b *testing.B) { serve(b, handSequence(sequenceTyped), "/page/1", 3*partSize-2000) })
	b.Run("by-hand", func(b *testing.B) { serve(b, handSequence(sequenceRaw), "/page/1", 3*partSize-2000) })
}

func sequence(b *testing.B) http.Handler {
	b.Helper()
	f := backend.Decorate(backend.HTTP{Transport: chained()}, func(backend.Spec) proxy.Decorator { return policy.Timeout(time.Second) })
	stage := func(name, param string, bind ...proxy.Binding) proxy.Stage {
		spec := backend.Spec{Name: name, URL: "http://" + name + ".test/" + name + "/{" + param + "}", Headers: []string{"Accept-Language"}}
		return proxy.Stage{Proxy: pipe.Check(f.New(spec)), Group: name, Bind: bind}
	}
	page := proxy.Sequence(
		stage("a", "id"),
		stage("b", "owner", proxy.Bind("owner", "a", "Owner.id")),
		stage("c", "item", proxy.Bind("item", "b", "Id")),
	).With(policy.Limit(rate.NewLimiter(rate.Inf, 0)))
	return mounted(b, page)
}

func mounted(b *testing.B, page proxy.Proxy) http.Handler {
	b.Helper()
	r := chi.NewRouter()
	if err := router.Mount(r, router.Route{Method: "GET", Pattern: "/page/{id}", Endpoint: endpoint.Spec{Proxy: page}}); err != nil {
		b.Fatal(err)
	}
	return r
}

// An answer is one of byhand.Document("", …) as a type.
type answer struct {
	ID      string  `json:"Id"`
	Version int     `json:"Version"`
	Active  bool    `json:"Active"`
	Note    *string `json:"Note"`
	Owner   struct {
		ID      int    `json:"id"`
		Name    string `json:"name"`
		Address struct {
			City string     `json:"city"`
			Zip  string     `json:"zip"`
			Geo  [2]float64 `json:"geo"`
		} `json:"address"`
	} `json:"Owner"`
	Items []struct {
		ID    int      `json:"id"`
		SKU   string   `json:"sku"`
		Name  string   `json:"name"`
		Price float64  `json:"price"`
		Tags  []string `json:"tags"`
		Stock struct {
			Here  int `json:"here"`
			There int `json:"there"`
		} `json:"stock"`
	} `json:"Items"`
	Total float64 `json:"Total"`
}

// getter gets a path of an upstream.
type getter func(path string) ([]byte, error)

// handSequence serves a sequence written by hand.
func handSequence(page func(id string, get getter) (any, error)) http.Handler {
	h := &byhand.Aggregator{Client: &http.Client{Transport: chained()}, Base: "http://upstream.test"}
	return handPage(func(ctx context.Context, r *http.Request) (any, error) {
		return page(r.PathValue("id"), func(path string) ([]byte, error) { return h.Get(ctx, path, r.Header.Get("Accept-Language")) })
	})
}

// handPage serves what page returns as JSON.
func handPage(page func(ctx context.Context, r *http.Request) (any, error)) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /page/{id}", func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), 10*time.Second)
		defer cancel()
		v, err := page(ctx, r)
		if err != nil {
			http.Error(w, http.StatusText(http.StatusBadGateway), http.StatusBadGateway)
			return
		}
		body, err := json.Marshal(v)
		if err != nil {
			http.Error(w, http.StatusText(http.StatusInternalServerError), http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Content-Length", strconv.Itoa(len(body)))
		_, _ = w.Write(body)
	})
	return mux
}

func sequenceTyped(id string, get getter) (any, error) {
	var page struct {
		A answer `json:"a"`
		B answer `json:"b"`
		C answer `json:"c"`
	}
	fetch := func(path string, into *answer) error {
		text, err := get(path)
		if err != nil {
			return err
		}
		return json.Unmarshal(text, into)
	}
	if err := fetch("/a/"+url.PathEscape(id), &page.A); err != nil {
		return nil, err
	}
	if err := fetch(fmt.Sprintf("/b/%d", page.A.Owner.ID), &page.B); err != nil {
		return nil, err
	}
	if page.B.ID == "" {
		return nil, fmt.Errorf("b has no id")
	}
	err := fetch("/c/"+url.PathEscape(page.B.ID), &page.C)
	return page, err
}

func sequenceRaw(id string, get getter) (any, error) {
	page := map[string]json.RawMessage{}
	fetch := func(name, id string, into any) error {
		text, err := get("/" + name + "/" + url.PathEscape(id))
		if err != nil {
			return err
		}
		page[name] = text
		if into == nil {
			return nil // json.Marshal checks it
		}
		return json.Unmarshal(text, into)
	}
	var a struct{ Owner struct{ ID int } }
	if err := fetch("a", id, &a); err != nil {
		return nil, err
	}
	var b struct{ ID string }
	if err := fetch("b", strconv.Itoa(a.Owner.ID), &b); err != nil {
		return nil, err
	}
	if b.ID == "" {
		return nil, fmt.Errorf("b has no id")
	}
	err := fetch("c", b.ID, nil)
	return page, err
}
