package router

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/go-chi/chi/v5"

	"github.com/sluice-go/sluice/internal/call"
	"github.com/sluice-go/sluice/pipe"
)

// checkPattern asks chi, on an empty router, whether it takes a pattern, and refuses a pattern that
// chi takes but that nobody can mean. A pattern that chi takes on an empty router, it takes beside
// any other pattern.
func checkPattern(pattern string) error {
	if err := try(chi.NewRouter(), http.MethodGet, pattern, http.NotFoundHandler()); err != nil {
		return err
	}
	for _, p := range parse(pattern) {
		if p.kind == placeholder && p.name == "*" {
			return errors.New("{*} is not a placeholder of chi; write * at the end of the pattern")
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
			errs = append(errs, fmt.Errorf("the name %q in Outer is not a valid placeholder name", name))
		case slices.Contains(own, name):
			errs = append(errs, fmt.Errorf("{%s} of the pattern hides the one in Outer", name))
		}
	}
	return slices.Concat(route.Outer, own), errors.Join(errs...)
}

// checkNeeds joins an error for each param that a step of a plan needs and no step before it gives.
func checkNeeds(plan *pipe.Step, given []string) error {
	var errs []error
	for _, need := range call.Needs(plan, given) {
		if need.Param == "*" {
			errs = append(errs, fmt.Errorf("%s needs what a * stands for, but the pattern has none at its end%s", need.Step, need.Place))
			continue
		}
		errs = append(errs, fmt.Errorf("%s needs the param %q, which neither the pattern, nor Outer, nor a step before it gives"+
			" (if your code sets it, name it in %s)%s", need.Step, need.Param, need.Given, need.Place))
	}
	return errors.Join(errs...)
}
