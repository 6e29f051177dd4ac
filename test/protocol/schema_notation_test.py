"""What tools/schema-compile refuses, and that it says where."""
import pathlib
import subprocess
import sys
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent


def compile_schema(text):
    """The compiler's exit code and what it said of one file, schema/data/thing.txt."""
    with tempfile.TemporaryDirectory() as folder:
        root = pathlib.Path(folder)
        (root / 'schema/data').mkdir(parents=True)
        (root / 'schema/data/thing.txt').write_text(text)
        # The header needs some API and record.
        (root / 'schema/api').mkdir()
        (root / 'schema/api/a.txt').write_text(
            'api 0 A\n\nrequest ARequest 0\n  X  int8\n\nresponse AResponse 0\n  X  int8\n')
        done = subprocess.run(
            [sys.executable, ROOT / 'tools/schema-compile', '--schema', root / 'schema', '--header',
             root / 'messages.h', '--source', root / 'messages.c'], capture_output=True, text=True)
        header = root / 'messages.h'
        return done.returncode, done.stderr, header.read_text() if header.exists() else ''


class Notation(unittest.TestCase):
    def refuse(self, fields, why, head='message Thing 0-3 flexible 2+'):
        code, said, _ = compile_schema(f'data Thing\n\n{head}\n{fields}')
        self.assertEqual(code, 1, said)
        self.assertIn('thing.txt', said)
        self.assertIn(why, said)

    def test_a_good_file_is_compiled(self):
        code, said, header = compile_schema(
            'data Thing  # comments are allowed\n\nmessage Thing 0-3 flexible 2+\n'
            '  Parts  []Part?1+  = null\n    Name  string  @1+ ignorable\n  Rest  []Part  @2+ tag 0\n')
        self.assertEqual((code, said), (0, ''))
        self.assertIn('struct thing_part {\n    struct str name;\n};', header)
        self.assertEqual(header.count('struct thing_part *items;'), 2)

    def test_an_unknown_mark_is_refused(self):
        self.refuse('  X  int8  maybe\n', 'line 4: not a field')

    def test_wrong_indentation_is_refused(self):
        self.refuse('  X  int8\n    Y  int8\n', 'line 5: bad indentation')
        self.refuse('   X  int8\n', 'line 4: bad indentation')

    def test_a_nullable_number_is_refused(self):
        self.refuse('  X  int8?\n', 'line 4: int8 cannot be null')

    def test_a_null_default_of_a_field_that_is_never_null_is_refused(self):
        self.refuse('  X  string  = null\n', 'line 4: the default is null')

    def test_a_tag_in_an_inflexible_version_is_refused(self):
        self.refuse('  X  int8  tag 0\n', 'X: tagged in an inflexible version')

    def test_two_fields_of_one_tag_are_refused(self):
        self.refuse('  X  int8  @2+ tag 0\n  Y  int8  @2+ tag 0\n', 'two fields of one name or tag')

    def test_two_fields_of_one_name_are_refused(self):
        self.refuse('  X  int8\n  X  int8\n', 'two fields of one name or tag')

    def test_a_struct_without_fields_is_refused(self):
        self.refuse('  X  Nothing\n', 'thing_nothing has no fields')

    def test_a_struct_inside_itself_is_refused(self):
        self.refuse('  X  []Loop\n    Y  []Loop\n', 'thing_loop contains itself')

    def test_an_unknown_section_is_refused(self):
        self.refuse('', "unknown section 'massage'", head='massage Thing 0')


if __name__ == '__main__':
    unittest.main()
