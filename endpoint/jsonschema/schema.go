package jsonschema

import (
	"context"
	"errors"
	"fmt"
	"runtime"

	"github.com/sluice-go/sluice/proxy/document"
)

// The drafts that a schema can be of, for [Spec.Draft].
const (
	Draft7    = "http://json-schema.org/draft-07/schema#"
	Draft2019 = "https://json-schema.org/draft/2019-09/schema"
	Draft2020 = "https://json-schema.org/draft/2020-12/schema"
)

// A Spec describes a [Schema].
type Spec struct {
	Name string // in the plan and in faults; "" shows the kind alone

	// Text is the schema, as JSON. An object in it that repeats a name is a mistake.
	Text string

	// Resources are further schemas, as JSON, by the absolute URLs that Text and they refer to. The
	// schemas of the drafts are known without. Nothing else is: no URL is fetched.
	Resources map[string]string

	// Draft is the draft of a schema without $schema: [Draft7], [Draft2019] or [Draft2020]. "" is
	// Draft2020.
	Draft string

	// Formats refuses a text that has not the format that the schema says, such as date-time or email.
	// false takes format for a remark, as the drafts do, unless the schema's own meta-schema requires
	// the vocabulary format-assertion. A format that is not known is always a remark.
	Formats bool

	// Branching accepts a schema that reaches one place of a value by two ways and from there itself, as
	//
	//	{"anyOf": [{"properties": {"a": {"$ref": "#"}}}, {"properties": {"a": {"$ref": "#"}}}]}
	//
	// Each level of a value may double the work, so that 100 bytes are enough for hours. With it, such
	// a body costs a processor until the context of its call ends. New tells that from the schema alone
	// and may refuse one that is harmless. if, then and else often say the same without it.
	Branching bool
}

// A Schema is a compiled JSON Schema. It is immutable and safe for concurrent use, and is made with
// [New].
//
// As many values as there are processors (GOMAXPROCS, when New was called) are validated at once. All
// that use the Schema share these places, and wait for one until their context ends.
type Schema struct {
	name  string
	root  *node
	names map[string]bool // that the schema mentions
	err   error
	slots chan struct{}
}

// New compiles a schema. The error joins all that is wrong with it, as far as that can be told: it is
// not JSON, no schema of its draft, of a draft that is not known, refers to what there is not, has a
// pattern that package regexp does not know, or is one that never ends or takes too long; see
// [Spec.Branching].
//
// With an error the Schema is not nil. It has the error as its Fault, so that whoever serves a pipe
// with it refuses at startup, together with all other faults.
func New(s Spec) (*Schema, error) {
	schema := &Schema{name: s.Name, slots: make(chan struct{}, runtime.GOMAXPROCS(0))}
	if err := schema.compile(s); err != nil {
		of := ""
		if s.Name != "" {
			of = " (" + s.Name + ")"
		}
		schema.err = fmt.Errorf("jsonschema: New%s: %w", of, err)
	}
	return schema, schema.err
}

// Fault returns the error of [New]. That of a nil Schema is an error too.
func (s *Schema) Fault() error {
	switch {
	case s == nil:
		return errors.New("jsonschema: the schema is nil")
	case s.err != nil:
		return s.err
	case s.root == nil:
		return errors.New("jsonschema: the schema was not made with New")
	}
	return nil
}

// Validate returns why a document does not fit the schema, or nil. An absent document does not
// ([ErrEmpty]). If a value is not as the schema says, the error is an [*Invalid]; otherwise it is one of
// the other errors of this package, [Schema.Fault], or that of ctx, which is not wrapped.
//
// It takes time in proportion to the document, with a factor that depends on the schema, and returns
// when ctx ends. Only the match of one pattern runs to its end, on a text of 4096 bytes at most.
func (s *Schema) Validate(ctx context.Context, doc document.Document) error {
	if err := s.Fault(); err != nil {
		return err
	}
	if doc.IsZero() {
		return ErrEmpty
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	select {
	case s.slots <- struct{}{}:
	default:
		select {
		case s.slots <- struct{}{}:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	defer func() { <-s.slots }()
	return s.validate(ctx, doc)
}

func (s *Schema) validate(ctx context.Context, doc document.Document) error {
	work := document.Work{Context: ctx}
	switch repeats, err := work.Repeats(doc); {
	case err != nil:
		return err
	case repeats:
		return ErrRepeated
	}
	if !soundNumbers(doc.String()) {
		return ErrNumber
	}
	at, err := work.Cursor(doc)
	if err != nil {
		return err
	}
	r := run{ctx: ctx, left: ticks, names: s.names}
	fits := r.eval(s.root, value{Cursor: at}, nil)
	switch {
	case r.stopped != nil:
		return r.stopped
	case !fits || len(r.faults) > 0:
		return &Invalid{Locations: r.faults}
	}
	return nil
}
