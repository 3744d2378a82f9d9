// Package byhand is the code that the benchmarks and the load compare sluice with: what a good
// engineer would write with the standard library.
package byhand

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"golang.org/x/sync/errgroup"
)

// An Aggregator gets three parts at once and answers with one document, written without a library:
// an errgroup, an http.Client, and json.RawMessage so that nothing is decoded needlessly. It has the
// guards that it should have, a timeout and a limit on bodies.
type Aggregator struct {
	Client  *http.Client
	Base    string                               // the parts are Base/a/{id}, Base/b/{id} and Base/c/{id}
	Combine func(parts [][]byte) ([]byte, error) // such as [Merge] or [Group]
}

const limit = 8 << 20

func (a *Aggregator) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), 10*time.Second)
	defer cancel()
	parts := make([][]byte, 3)
	group, ctx := errgroup.WithContext(ctx)
	for i, name := range []string{"a", "b", "c"} {
		group.Go(func() (err error) {
			parts[i], err = a.Get(ctx, "/"+name+"/"+url.PathEscape(r.PathValue("id")), r.Header.Get("Accept-Language"))
			return err
		})
	}
	if err := group.Wait(); err != nil {
		http.Error(w, http.StatusText(http.StatusBadGateway), http.StatusBadGateway)
		return
	}
	body, err := a.Combine(parts)
	if err != nil {
		http.Error(w, http.StatusText(http.StatusBadGateway), http.StatusBadGateway)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	_, _ = w.Write(body)
}

// Get returns the body at a path, which may take a second.
func (a *Aggregator) Get(ctx context.Context, path, language string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, a.Base+path, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept-Language", language)
	res, err := a.Client.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s: status %d", path, res.StatusCode)
	}
	return io.ReadAll(io.LimitReader(res.Body, limit))
}

// Merge merges objects without decoding their values.
func Merge(parts [][]byte) ([]byte, error) {
	merged := map[string]json.RawMessage{}
	for _, part := range parts {
		if err := json.Unmarshal(part, &merged); err != nil {
			return nil, err
		}
	}
	return json.Marshal(merged)
}

// Group puts each part under its name.
func Group(parts [][]byte) ([]byte, error) {
	return json.Marshal(map[string]json.RawMessage{"a": parts[0], "b": parts[1], "c": parts[2]})
}

// Keep puts the owner's city and the id and name of the items of each part under its name.
func Keep(parts [][]byte) ([]byte, error) {
	grouped := map[string]map[string]json.RawMessage{}
	for i, prefix := range []string{"a", "b", "c"} {
		var part map[string]json.RawMessage
		if err := json.Unmarshal(parts[i], &part); err != nil {
			return nil, err
		}
		var owner map[string]json.RawMessage
		if err := json.Unmarshal(part[prefix+"Owner"], &owner); err != nil {
			return nil, err
		}
		var address map[string]json.RawMessage
		if err := json.Unmarshal(owner["address"], &address); err != nil {
			return nil, err
		}
		var items []map[string]json.RawMessage
		if err := json.Unmarshal(part[prefix+"Items"], &items); err != nil {
			return nil, err
		}
		for _, item := range items {
			for name := range item {
				if name != "id" && name != "name" {
					delete(item, name)
				}
			}
		}
		kept := map[string]json.RawMessage{}
		var err error
		if kept[prefix+"Owner"], err = json.Marshal(map[string]any{"address": map[string]any{"city": address["city"]}}); err != nil {
			return nil, err
		}
		if kept[prefix+"Items"], err = json.Marshal(items); err != nil {
			return nil, err
		}
		grouped[prefix] = kept
	}
	return json.Marshal(grouped)
}

// KeepTyped does the same with types that name only the fields to keep, which must be known when
// the program is compiled.
func KeepTyped(parts [][]byte) ([]byte, error) {
	type owner struct {
		Address struct {
			City string `json:"city"`
		} `json:"address"`
	}
	type item struct {
		ID   int    `json:"id"`
		Name string `json:"name"`
	}
	var page struct {
		A struct {
			Owner owner  `json:"aOwner"`
			Items []item `json:"aItems"`
		} `json:"a"`
		B struct {
			Owner owner  `json:"bOwner"`
			Items []item `json:"bItems"`
		} `json:"b"`
		C struct {
			Owner owner  `json:"cOwner"`
			Items []item `json:"cItems"`
		} `json:"c"`
	}
	for i, into := range []any{&page.A, &page.B, &page.C} {
		if err := json.Unmarshal(parts[i], into); err != nil {
			return nil, err
		}
	}
	return json.Marshal(page)
}
