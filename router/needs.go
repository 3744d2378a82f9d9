package router

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/go-chi/chi/v5"

	"github.com/sluice-go/sluice/pipe"
)

// checkPattern asks chi, on a router of its own, and refuses what chi takes but nobody can mean. What chi takes alone it
// takes beside any other pattern.
func checkPattern(pattern string) error {
	if err := try(chi.NewRouter(), http.MethodGet, pattern, http.NotFoundHandler()); err != nil {
		return err
	}
	for _, p := range parse(pattern) {
		if p.kind == placeholder && p.name == "*" {
			return errors.New("{*} is no placeholder of chi; write * at the end of the pattern")
		}
	}
	return nil
}

// givenBy returns the params that a pipe of the route can rely on.
func givenBy(route Route) ([]string, error) {
	own := names(parse(route.Pattern))
	var errs []error
	for _, name := range route.Outer {
		switch {
		case name == "" || strings.ContainsAny(name, "{}*:"):
			errs = append(errs, fmt.Errorf("the name %q in Outer is none of a placeholder", name))
		case slices.Contains(own, name):
			errs = append(errs, fmt.Errorf("{%s} of the pattern hides the one in Outer", name))
		}
	}
	return slices.Concat(route.Outer, own), errors.Join(errs...)
}

// checkNeeds joins what steps of a plan need and nobody before them gives.
func checkNeeds(plan *pipe.Step, given []string) error {
	c := needs{missing: map[string]bool{}}
	c.check(plan, set(given))
	return errors.Join(c.errs...)
}

func set(names []string) map[string]bool {
	s := map[string]bool{}
	for _, name := range names {
		s[name] = true
	}
	return s
}

type needs struct {
	errs    []error
	missing map[string]bool // by text: a step that stands in several places is reported once
}

// check checks a step where the params in given are set, and returns those that are set at the innermost place in it.
func (c *needs) check(s *pipe.Step, given map[string]bool) map[string]bool {
	for _, name := range s.Needs {
		if !given[name] {
			c.miss(s, name)
		}
	}
	if len(s.Gives) > 0 {
		given = maps.Clone(given)
		maps.Copy(given, set(s.Gives))
	}
	for _, inner := range s.Steps {
		after := c.check(inner, given)
		if s.Layout == pipe.Around { // else each has its own copy of the request
			given = after
		}
	}
	return given
}

func (c *needs) miss(s *pipe.Step, name string) {
	bound := "proxy.Bound"
	if s.Kind == "backend" {
		bound = "backend.Spec.Bound"
	}
	text := fmt.Sprintf("%s needs the param %q, which neither the pattern, nor Outer, nor a step before it gives"+
		" (what code sets is named in %s)", called(s), name, bound)
	if name == "*" {
		text = fmt.Sprintf("%s needs what a * stands for, but the pattern has none at its end", called(s))
	}
	if !c.missing[text] {
		c.missing[text] = true
		c.errs = append(c.errs, errors.New(text))
	}
}

func called(s *pipe.Step) string { return strings.TrimSpace(s.Kind + " " + s.Name) }
