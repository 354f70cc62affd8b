"""The examples that the example services offer to whoever tries them at `/docs`."""

import pytest

import digest.service
import linkcheck.service
import report.service
import thumbnail.service
from backhaul import Service
from backhaul.gateway.description.examples import example

SERVICES = (digest.service.service, linkcheck.service.service, thumbnail.service.service, report.service.service)


@pytest.mark.parametrize("service", SERVICES, ids=lambda service: service.name)
def test_every_kind_of_the_examples_has_an_input_to_begin_with(service: Service) -> None:
    for spec in service.announcement().kinds:
        assert example(spec.input_schema) is not None, spec.kind
