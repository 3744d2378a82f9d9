package jsonschema

import (
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/sluice-go/sluice/proxy/document"
)

// home is the URL of the Text of a Spec.
const home = "schema://spec/text"

// compile makes root and names.
func (s *Schema) compile(spec Spec) (err error) {
	defer func() {
		if v := recover(); v != nil { // of a number that takes the memory of the machine, for example
			err = fmt.Errorf("compiling it ended in a panic: %v", v)
		}
	}()
	var errs []error
	texts := resources{}
	add := func(url, what, text string) {
		v, err := parse(text)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", what, err))
		}
		texts[strings.TrimSuffix(url, "#")] = v
	}
	for _, u := range slices.Sorted(maps.Keys(spec.Resources)) {
		if parsed, err := url.Parse(u); err != nil || !parsed.IsAbs() || parsed.Fragment != "" {
			errs = append(errs, fmt.Errorf("the resource %q has no absolute URL without a fragment", u))
		}
		add(u, "the resource "+u, spec.Resources[u])
	}
	add(home, "the Text", spec.Text)
	c := jsonschema.NewCompiler()
	c.UseLoader(texts)
	c.UseRegexpEngine(compileRegexp)
	switch spec.Draft {
	case Draft7:
		c.DefaultDraft(jsonschema.Draft7)
	case Draft2019:
		c.DefaultDraft(jsonschema.Draft2019)
	case "", Draft2020:
		c.DefaultDraft(jsonschema.Draft2020)
	default:
		errs = append(errs, fmt.Errorf("the draft %q is not known", spec.Draft))
	}
	if spec.Formats {
		c.AssertFormat()
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	compiled, err := c.Compile(home)
	if err != nil {
		return errorOf(err)
	}
	t := translator{compiler: c, texts: texts, formats: spec.Formats, nodes: map[*jsonschema.Schema]*node{}, names: map[string]bool{}}
	if s.root, err = t.translate(compiled); err != nil {
		return err
	}
	s.names = t.names
	return t.check(spec.Branching)
}

// resources are the parsed schemas of a Spec by their URL. They are the only ones that a compiler gets.
type resources map[string]any

// Load returns a schema of the Spec.
func (r resources) Load(url string) (any, error) {
	if v, ok := r[url]; ok {
		return v, nil
	}
	return nil, errors.New("it is not among the Resources, and nothing is fetched")
}

// parse returns a JSON text as the compiler wants it.
func parse(text string) (any, error) {
	d, err := document.Parse([]byte(text))
	if err != nil {
		return nil, err
	}
	if d.Repeats() {
		return nil, errors.New("an object repeats a name")
	}
	if !soundNumbers(text) {
		return nil, errors.New("a number is too long or too large")
	}
	return jsonschema.UnmarshalJSON(strings.NewReader(text))
}

// errorOf returns an error of the compiler without the URL that only this package knows.
func errorOf(err error) error {
	text := strings.ReplaceAll(err.Error(), home, "")
	return &compileError{strings.TrimPrefix(text, "jsonschema "), err}
}

// A compileError is an error of the compiler with another text.
type compileError struct {
	text string
	err  error
}

func (e *compileError) Error() string { return e.text }

func (e *compileError) Unwrap() error { return e.err }
