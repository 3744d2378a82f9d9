package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"reflect"
)

// An answer is what a client got.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// fetch sends one request on a connection of its own.
func fetch(r *http.Request) (a answer, err error) {
	t := &http.Transport{DisableCompression: true, DisableKeepAlives: true}
	res, err := t.RoundTrip(r)
	if err != nil {
		return a, err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	return answer{res.StatusCode, res.Header, body}, err
}

// sameJSON returns how two answers differ as JSON, numbers by their text, or nil.
func sameJSON(a, b answer) error {
	if err := sameHeader(a, b, "Content-Type"); err != nil {
		return err
	}
	var values [2]any
	for i, body := range [][]byte{a.body, b.body} {
		d := json.NewDecoder(bytes.NewReader(body))
		d.UseNumber()
		if err := d.Decode(&values[i]); err != nil {
			return fmt.Errorf("an answer is not JSON: %w", err)
		}
	}
	if !reflect.DeepEqual(values[0], values[1]) {
		return fmt.Errorf("the answers differ: %.200s… and %.200s…", a.body, b.body)
	}
	return nil
}

// sameBytes returns how two answers differ in their bytes and in the headers that a proxy hands on, or nil.
func sameBytes(a, b answer) error {
	if err := sameHeader(a, b, "Content-Type", "Content-Length", "Cache-Control", "Vary", "Etag"); err != nil {
		return err
	}
	if !bytes.Equal(a.body, b.body) {
		return fmt.Errorf("the answers differ: %.200s… and %.200s…", a.body, b.body)
	}
	return nil
}

func sameHeader(a, b answer, names ...string) error {
	if a.status != http.StatusOK || b.status != http.StatusOK {
		return fmt.Errorf("the statuses are %d and %d", a.status, b.status)
	}
	for _, name := range names {
		if v, w := a.header.Values(name), b.header.Values(name); !reflect.DeepEqual(v, w) {
			return fmt.Errorf("%s is %q and %q", name, v, w)
		}
	}
	return nil
}
