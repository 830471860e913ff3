import platform
import sys

import numpy as np

from lineament.evaluation.machine import this_machine


def test_the_facts_are_those_of_this_process():
    machine = this_machine()
    assert machine.versions["numpy"] == np.__version__
    assert machine.versions["python"] == sys.version.split()[0]
    assert machine.cores >= 1
    assert machine.processor


def test_no_name_of_the_machine_is_in_it():
    host = platform.node()
    assert not host or host not in repr(this_machine())
