package cache

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/sluice-go/sluice/proxy"
)

// Purge makes the cache forget the answers to requests with these targets, a path and perhaps a
// query, such as "/items/1?lang=en". Of a whole URL only they count, so that one purge is for all
// hosts. It forgets what any client was answered, by any proxy that the cache decorates, and an answer
// whose call has begun before is not kept.
//
// The order of the parameters makes no difference; otherwise path and query must be those of the
// requests as the cache gets them. All answers with a tag are purged by [Cache.PurgeTag].
//
// The errors are those of the Store, and of what is neither a path nor a URL, joined: what they name
// may not be purged.
func (c *Cache) Purge(ctx context.Context, targets ...string) error {
	var errs []error
	for _, text := range targets {
		u, err := url.Parse(text)
		if err != nil {
			errs = append(errs, fmt.Errorf("cache: purge: %w", err))
			continue
		}
		query, err := url.ParseQuery(u.RawQuery)
		if err != nil {
			errs = append(errs, fmt.Errorf("cache: purge: %q: %w", text, err))
			continue
		}
		path := u.EscapedPath()
		if path == "" && u.Host != "" {
			path = "/"
		}
		if !strings.HasPrefix(path, "/") {
			errs = append(errs, fmt.Errorf("cache: purge: %q is neither a path that begins with / nor a URL", text))
			continue
		}
		if err := c.purge(ctx, target{path: path, query: queryOf(query)}); err != nil {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// PurgeTag makes the cache forget the answers with any of these tags, which the field [Spec.Tags]
// lists. An answer whose call has begun before is not kept if it has tags at all.
//
// The errors are those of the Store, joined. Where there is no Spec.Tags, nothing has tags, and that is
// an error too.
func (c *Cache) PurgeTag(ctx context.Context, tags ...string) error {
	switch {
	case len(tags) == 0:
		return nil
	case c.spec.Tags == "":
		return errors.New("cache: purge: no answer has tags, because the Spec names no field for them in Tags")
	}
	// This first: see [exchange.tagged].
	c.tagPurges.Add(1)
	errs := []error{c.set(ctx, c.purgesKey(), newMark(), keptMarks)}
	for _, name := range tags {
		errs = append(errs, c.set(ctx, c.tagKey(name), newMark(), keptMarks))
	}
	return errors.Join(errs...)
}

func (c *Cache) purge(ctx context.Context, t target) error {
	return c.set(ctx, c.targetKey(t.path, t.query), newMark(), keptMarks)
}

// holds reports whether none of the tags was purged since an answer was kept.
func (c *Cache) holds(ctx context.Context, tags []tag) (bool, error) {
	keys := make([]string, len(tags))
	for i := range tags {
		keys[i] = c.tagKey(tags[i].name)
	}
	marks := make([]*Entry, len(tags))
	if err := c.get(ctx, marks, keys); err != nil {
		return false, err
	}
	for i, mark := range marks {
		if mark == nil || mark.kind != kindMark || mark.gen != tags[i].gen {
			return false, nil
		}
	}
	return true, nil
}

// tagged returns the tags of an answer with the generations of their marks, and whether none was
// purged since its call began. A purge first changes the mark of all tags and then that of a tag. So
// if the mark of all is read last and has not changed, those of the tags are from before any purge,
// and the next one changes them.
func (x *exchange) tagged(ctx context.Context, names []string) (tags []tag, holds bool, err error) {
	if len(names) == 0 {
		return nil, true, nil
	}
	c := x.cache
	keys := make([]string, 0, len(names)+1)
	for _, name := range names {
		keys = append(keys, c.tagKey(name))
	}
	keys = append(keys, c.purgesKey())
	marks := make([]*Entry, len(keys))
	if err := c.get(ctx, marks, keys); err != nil {
		return nil, false, err
	}
	if x.purged(marks[len(names)]) {
		return nil, false, nil
	}
	made := false
	for i, name := range names {
		mark := marks[i]
		if mark == nil || mark.kind != kindMark {
			mark, made = newMark(), true
			if err := c.set(ctx, keys[i], mark, keptMarks); err != nil {
				return nil, false, err
			}
		}
		tags = append(tags, tag{name: name, gen: mark.gen})
	}
	if made { // perhaps in place of the mark of a purge that came between
		if err := c.get(ctx, marks[:1], keys[len(names):]); err != nil || x.purged(marks[0]) {
			return nil, false, err
		}
	}
	return tags, true, nil
}

// purged reports whether tags were purged since the call began, by the mark of all of them.
func (x *exchange) purged(all *Entry) bool {
	var purges uint64
	if all != nil {
		purges = all.gen
	}
	return purges != x.purges || x.cache.tagPurges.Load() != x.local
}

// A target is what a purge is for.
type target struct {
	path, query string

	host, scheme string // of the request
}

func targetOf(req *proxy.Request) target {
	return target{path: strings.Clone(req.Path), query: queryOf(req.Query), host: req.Host, scheme: req.Scheme}
}

func isSafe(method string) bool {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodTrace:
		return true
	}
	return false
}

// invalidate purges what an unsafe request has changed, if it was successful (RFC 9111, section
// 4.4): its target, and what its Location and Content-Location name of the same origin.
func (c *Cache) invalidate(ctx context.Context, t target, res *proxy.Response) {
	if status := res.StatusCode(); status < 200 || status > 399 {
		return
	}
	targets := []target{t}
	base := url.URL{Scheme: t.scheme, Host: t.host}
	if u, err := url.Parse(t.path); err == nil {
		base.Path, base.RawPath = u.Path, u.RawPath
	}
	for _, h := range [...]http.Header{res.Header, res.Origin} {
		for _, name := range [...]string{"Location", "Content-Location"} {
			if lines := h[name]; len(lines) > 0 {
				u, err := base.Parse(lines[0])
				if err == nil && strings.EqualFold(u.Host, base.Host) {
					targets = append(targets, target{path: u.EscapedPath(), query: queryOf(u.Query())})
				}
			}
		}
	}
	for i, t := range targets {
		if i > 0 && t.path == targets[0].path && t.query == targets[0].query {
			continue
		}
		if err := c.purge(ctx, t); err != nil {
			proxy.Report(ctx, err)
		}
	}
}
