// Package definition holds the rules of task definitions, as pure functions: what AWS fills in (Normalise), what it
// refuses (Validate), what it works out (Compatibilities, RequiredAttributes), and what Berth can't honour yet when a
// task is about to start (Unhonoured).
//
// Registration accepts what AWS accepts, so that documents written for AWS come back the same, with the defaults that
// AWS adds; nothing that Berth can't honour passes silently: it is refused at the start of a task, by name.
//
// Where a message's exact words are known (from API answers that were published, see the tests) they are AWS's;
// the others are written in their style.
package definition

import (
	"github.com/openberth/berth/internal/ecs"
)

// Prepare turns a document as it was sent into the definition that is stored, or refuses it: defaults, checks, and
// the two computed lists. It changes td, which must be the caller's own; td.Revision and the like are the caller's too.
func Prepare(td *ecs.TaskDefinition) error {
	if err := Normalise(td); err != nil {
		return err
	}
	if err := Validate(td); err != nil {
		return err
	}
	td.Compatibilities = Compatibilities(td)
	td.RequiresAttributes = RequiredAttributes(td)
	return nil
}
