"""Every requirement, attack and race that this project knows of: where it is tested, or which part brings its test.

A row is a list of tests, `file::test`, of parts to come, or of both where a promise holds in one mode already. Whoever
adds a part replaces its name here by tests; whoever removes or renames a test hears of it.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent

MIGRATION = "migration"
PARTS = {MIGRATION}

REQUIREMENTS = {
    # Sources: OWASP ASVS 5.0; NIST SP 800-63B-4; OWASP Session Management Cheat Sheet; OWASP Web Security Testing Guide
    # 4.6; RFC 6265bis; PCI DSS 4; RFC 9106; NIST SP 800-38D.
    # Every token is verified on the server.
    "R01": ["attacks/test_bit_flip_all.py::test_every_single_bit_matters"],
    # Secrets of 256 bits from the system, safe over fork.
    "R02": [
        "attacks/test_salt_unique_across_forks.py::test_workers_never_draw_the_same",
        "test_signals.py::TestLife::test_log_name_is_no_handle",
    ],
    # A new id at login and change of privilege; the old one dead.
    "R03": [
        "attacks/test_fixation_by_planted_cookie.py::test_login_leaves_the_planted_session_behind",
        "attacks/test_privilege_change_renews.py::test_new_right_is_a_new_id",
        "test_server_side.py::TestLogin::test_new_id_and_the_old_one_dead",
        "test_server_side.py::TestLogin::test_key_that_tells_of_a_login",
        "test_revocable_cookies.py::TestEnds::test_new_id_kills_the_old_cookie",
    ],
    # No id is adopted that was not issued; none is issued but on a write.
    "R04": [
        "attacks/test_fixation_by_planted_cookie.py::test_invented_session_is_not_adopted",
        "attacks/test_fixation_by_planted_cookie.py::test_reading_begins_no_session",
    ],
    # Idle timeout, never longer than configured.
    "R05": [
        "attacks/test_idle_edge.py::test_session_ends_at_the_second",
        "attacks/test_idle_edge.py::test_no_fraction_lengthens_it",
    ],
    # Absolute timeout, extended by nothing.
    "R06": [
        "attacks/test_absolute_edge.py::test_activity_does_not_extend",
        "attacks/test_absolute_edge.py::test_nothing_but_a_login_extends",
    ],
    # Re-authentication resets both clocks.
    "R07": [
        "attacks/test_absolute_edge.py::test_login_starts_it_again",
        "test_login.py::TestLogin::test_starts_both_clocks",
    ],
    # Presets with the clauses' numbers.
    "R08": ["test_timeouts.py::test_profiles"],
    # Periodic new id with overlap.
    "R09": [
        "races/test_renewal.py::TestRenewal::test_edge",
        "races/test_renewal.py::TestMeanwhile::test_fifty_parallel_requests",
    ],
    # Logout ends the session on the server.
    "R10": [
        "attacks/test_logout_replay.py::test_browser_holds_nothing_after_logout",
        "attacks/test_logout_replay.py::test_copy_is_over_with_the_session",
        "test_server_side.py::TestEnd::test_every_way_to_log_out",
        "test_revocable_cookies.py::TestEnds::test_logout_kills_copies",
    ],
    # End all sessions of a user; end all.
    "R11": [
        "test_registry.py::TestRevoke::test_user",
        "test_registry.py::TestRevoke::test_all",
        "test_registry.py::TestRevoke::test_all_in_every_process",
        "test_revocable_cookies.py::TestEnds::test_revoke_one_the_others_a_user_and_all",
    ],
    # End the others after a password change.
    "R12": [
        "test_registry.py::TestRevoke::test_others",
        "attacks/test_revoke_others_with_a_shared_cookie.py::test_thief_with_the_same_cookie",
        "test_revocable_cookies.py::TestEnds::test_revoke_one_the_others_a_user_and_all",
    ],
    # List one's own sessions, end one.
    "R13": [
        "test_registry.py::TestList::test_own_sessions",
        "test_registry.py::TestRevoke::test_one",
        "attacks/test_handle_of_another_user.py::test_handle_ends_nothing_of_anybody_else",
        "test_revocable_cookies.py::TestEnds::test_list",
    ],
    # A cap on sessions per user.
    "R14": [
        "test_registry.py::TestCap::test_oldest_goes",
        "test_registry.py::TestCap::test_refused",
        "attacks/test_cap_under_parallel_logins.py::test_twenty_logins_at_once",
        "test_revocable_cookies.py::TestEnds::test_parallel_logins_never_exceed_a_cap",
    ],
    # Step-up from a sealed time that no payload can fake.
    "R15": [
        "attacks/test_metadata_out_of_reach_of_payload.py::test_authentication_time_comes_from_a_login_alone",
        "test_step_up.py::TestStory::test_step_up",
        "attacks/test_freshness_cannot_be_faked.py::test_nothing_but_the_key_itself_makes_fresh",
    ],
    # Secure.
    "R16": [
        "test_cookie.py::test_attributes",
        "attacks/test_plain_http.py::test_cookie_is_secure_whatever_the_server_sees",
    ],
    # HttpOnly, SameSite, a prefixed name.
    "R17": [
        "test_cookie.py::test_attributes",
        "attacks/test_browser.py::TestWhatTheBrowserKeeps::test_attributes_arrive",
        "attacks/test_browser.py::TestWhatTheBrowserKeeps::test_other_sites_requests_come_without_it",
    ],
    # Impossible combinations are refused at the start.
    "R18": ["attacks/test_impossible_cookie_settings.py::test_impossible_combination_is_refused_at_the_start"],
    # No token in URL, body, log, repr, traceback.
    "R19": [
        "attacks/test_secrets_in_logs_and_tracebacks.py::TestLogsAndEvents::test_no_log_line_holds_a_secret",
        "attacks/test_secrets_in_logs_and_tracebacks.py::TestObjects::test_no_object_shows_a_secret",
        "attacks/test_secrets_in_logs_and_tracebacks.py::TestErrors::test_no_traceback_shows_a_secret",
    ],
    # Over 4096 bytes: a named error on write, a refusal before decoding on read.
    "R20": [
        "attacks/test_oversized_session_out.py::test_too_much_is_a_named_error_and_the_old_cookie_stays",
        "attacks/test_oversized_cookie_in.py::test_longer_than_any_cookie_is_refused_undecoded",
    ],
    # A session cookie by default; a permanent one has Max-Age, at most 400 days.
    "R21": [
        "test_timeouts.py::TestPermanent::test_cookie_says_what_is_left",
        "attacks/test_absolute_edge.py::test_cookie_of_a_permanent_session_ends_with_it",
        "test_settings.py::test_refused_values",
    ],
    # Vary when touched, no-store when a cookie is set.
    "R22": [
        "test_cookie.py::test_cache_headers",
        "attacks/test_cache_headers.py::test_answer_with_a_cookie_is_never_kept",
    ],
    # An opaque token.
    "R23": ["attacks/test_dropped_key.py::test_removed_key_reads_no_later_session"],
    # Authenticated before it is parsed.
    "R24": ["attacks/test_garbage_flood.py::test_sixty_thousand_random_strings_open_nothing_and_raise_nothing"],
    # One algorithm per magic.
    "R25": ["attacks/test_purpose_confusion.py::test_purpose_that_does_not_exist_is_refused"],
    # Keys from the configuration alone.
    "R26": [
        "attacks/test_key_id_swap.py::test_own_key_under_our_id",
        "attacks/test_unknown_key.py::test_session_of_a_stranger",
    ],
    # Sane times.
    "R27": [
        "attacks/test_clock_back_and_forward.py::test_session_from_the_future_is_refused",
        "attacks/test_forged_token_is_not_laundered_by_resealing.py::test_malformed_record_is_not_mended",
    ],
    # Everything bound.
    "R28": [
        "attacks/test_two_contexts_one_ciphertext.py::test_blob_opens_in_its_own_context_alone",
        "attacks/test_cross_app_and_cookie_name.py::test_token_of_another_app",
    ],
    # The newest key seals, any opens, old ones re-seal.
    "R29": [
        "attacks/test_rotation_order.py::test_newest_key_seals",
        "attacks/test_rotation_order.py::test_every_key_opens_and_the_next_write_moves_to_the_newest",
    ],
    # A text where a list is due is an error.
    "R30": ["attacks/test_scalar_keys.py::test_keys_that_are_no_list_are_refused"],
    # AES-256-GCM with full tags.
    "R31": ["attacks/test_truncate_and_extend.py::test_no_beginning_of_a_token_opens"],
    # A fresh key and nonce for every message.
    "R32": ["attacks/test_salt_unique_across_forks.py::test_workers_never_draw_the_same"],
    # Comparison in constant time, before anything is decrypted: a commitment.
    "R33": ["attacks/test_two_keys_one_ciphertext.py::test_no_blob_opens_under_a_second_key"],
    # One outcome for all failures.
    "R34": [
        "attacks/test_uniform_failure.py::test_every_bad_token_gets_the_same_answer",
        "attacks/test_uniform_failure.py::test_it_is_the_answer_without_any_cookie",
    ],
    # Passphrases by Argon2id with a deployment salt.
    "R35": ["test_rotation.py::TestPassphrase::test_works_end_to_end"],
    # Rows sealed, names hashed, user index keyed.
    "R37": [
        "test_server_side.py::TestSession::test_stores_hold_no_plaintext",
        "attacks/test_dump_plus_all_keys_opens_nothing.py::test_nothing_in_it_opens",
        "attacks/test_dump_plus_all_keys_opens_nothing.py::test_list_of_a_user_names_nobody_without_the_keys",
    ],
    # Events that name a session by its log name.
    "R38": ["test_signals.py::TestLife::test_log_name_is_no_handle", "test_audit.py::test_line_is_the_event"],
    # Strict syntax before any store call.
    "R39": [
        "attacks/test_base64_alias.py::test_no_other_spelling_opens",
        "attacks/test_garbage_flood.py::test_flood_never_reaches_the_store",
        "test_server_side.py::TestCounts::test_refused_token",
    ],
    # Two cookies of our name: refused.
    "R40": ["attacks/test_duplicate_cookies.py::test_neither_of_two_is_believed"],
    # Data of one user never becomes another's.
    "R41": [
        "attacks/test_login_as_another_user_drops_data.py::test_second_user_inherits_nothing",
        "attacks/test_session_puzzling.py::test_half_finished_step_is_left_at_the_login",
    ],
    # Secure also on plain http, with one clear warning.
    "R43": ["attacks/test_plain_http.py::test_operator_hears_of_it_once"],
    # No pickle, no eval; caps on size and depth.
    "R44": [
        "attacks/test_decompression_bomb.py::test_memory_stays_bounded",
        "attacks/test_deep_nesting.py::test_sealed_depth_is_refused_too",
        "attacks/test_forged_token_is_not_laundered_by_resealing.py"
        "::TestLeakedKeyThatWasKept::test_it_forges_sessions_but_runs_no_code",
    ],
}

ATTACKS = {
    "bit_flip_all": ["attacks/test_bit_flip_all.py::test_every_single_bit_matters"],
    "truncate_and_extend": [
        "attacks/test_truncate_and_extend.py::test_no_beginning_of_a_token_opens",
        "attacks/test_truncate_and_extend.py::test_nothing_can_be_appended",
        "attacks/test_truncate_and_extend.py::test_long_message_cannot_lose_or_reorder_its_chunks",
    ],
    "base64_alias": ["attacks/test_base64_alias.py::test_only_one_last_character_opens"],
    "quoted_cookie": ["attacks/test_quoted_cookie.py::test_quotes_are_no_part_of_a_token"],
    "purpose_confusion": ["attacks/test_purpose_confusion.py::test_sealed_value_of_another_purpose_is_no_session"],
    "cross_app_and_cookie_name": [
        "attacks/test_cross_app_and_cookie_name.py::test_token_of_another_app",
        "attacks/test_cross_app_and_cookie_name.py::test_token_of_another_cookie",
    ],
    "key_id_swap": ["attacks/test_key_id_swap.py::test_token_opens_under_its_own_key_id_alone"],
    "unknown_key": ["attacks/test_unknown_key.py::test_session_of_a_stranger"],
    "dropped_key": ["attacks/test_dropped_key.py::test_removed_key_ends_its_sessions"],
    "rotation_order": ["attacks/test_rotation_order.py::test_newest_key_seals"],
    "scalar_keys": ["attacks/test_scalar_keys.py::test_keys_that_are_no_list_are_refused"],
    "two_keys_one_ciphertext": ["attacks/test_two_keys_one_ciphertext.py::test_no_blob_opens_under_a_second_key"],
    "two_contexts_one_ciphertext": [
        "attacks/test_two_contexts_one_ciphertext.py::test_blob_opens_in_its_own_context_alone",
        "attacks/test_two_contexts_one_ciphertext.py::test_blob_opens_in_its_own_place_alone",
    ],
    "salt_unique_across_forks": ["attacks/test_salt_unique_across_forks.py::test_workers_never_draw_the_same"],
    "record_swapped_between_rows": [
        "attacks/test_record_swapped_between_rows.py::test_her_row_under_his_name",
        "attacks/test_record_swapped_between_rows.py::test_his_row_under_her_name",
        "attacks/test_record_swapped_between_rows.py::test_tombstone_of_another_row",
    ],
    "record_tampered": [
        "attacks/test_record_tampered.py::test_every_byte_matters",
        "attacks/test_record_tampered.py::test_no_beginning_of_a_row_opens",
        "attacks/test_record_tampered.py::test_nothing_can_be_appended",
    ],
    "record_of_wrong_type": [
        "attacks/test_record_of_wrong_type.py::test_bytes_that_are_no_record",
        "attacks/test_record_of_wrong_type.py::test_pickle_is_never_loaded",
        "attacks/test_record_of_wrong_type.py::test_what_the_store_did_not_write",
    ],
    "dump_plus_all_keys_opens_nothing": [
        "attacks/test_dump_plus_all_keys_opens_nothing.py::test_nothing_in_it_opens",
        "attacks/test_dump_plus_all_keys_opens_nothing.py::test_secret_is_nowhere_in_it",
        "attacks/test_dump_plus_all_keys_opens_nothing.py::test_no_cookie_can_be_made_of_it",
        "attacks/test_dump_plus_all_keys_opens_nothing.py::test_list_of_a_user_opens_no_session",
    ],
    "row_name_as_cookie": [
        "attacks/test_row_name_as_cookie.py::test_nothing_in_the_store_is_a_cookie",
        "attacks/test_row_name_as_cookie.py::test_public_names_of_a_session",
    ],
    "leaked_key_without_store_forges_nothing": [
        "attacks/test_leaked_key_without_store_forges_nothing.py::test_reference_to_nothing",
        "attacks/test_leaked_key_without_store_forges_nothing.py::test_whole_session_in_the_cookie",
        "attacks/test_leaked_key_without_store_forges_nothing.py::test_own_session_gets_no_other_lifetime",
    ],
    "fixation_by_planted_cookie": [
        "attacks/test_fixation_by_planted_cookie.py::test_login_leaves_the_planted_session_behind",
        "attacks/test_browser.py::TestFixationByPlantedCookie::test_prefixed_name_cannot_be_planted",
        "attacks/test_browser.py::TestFixationByPlantedCookie::test_planted_session_is_left_behind_at_the_login",
        "attacks/test_fixation_by_planted_cookie.py::test_planted_id_dies_with_the_login",
        "attacks/test_fixation_by_planted_cookie.py::test_attacker_gets_no_session_of_hers",
    ],
    "fixation_by_invented_id": [
        "attacks/test_fixation_by_planted_cookie.py::test_invented_session_is_not_adopted",
        "attacks/test_fixation_by_invented_id.py::test_id_is_the_servers_own",
    ],
    "session_puzzling": [
        "attacks/test_session_puzzling.py::test_name_typed_into_a_public_form_is_no_login",
        "attacks/test_session_puzzling.py::test_half_finished_step_is_left_at_the_login",
    ],
    "privilege_change_renews": ["attacks/test_privilege_change_renews.py::test_new_right_is_a_new_id"],
    "logout_replay": [
        "attacks/test_logout_replay.py::test_browser_holds_nothing_after_logout",
        "attacks/test_logout_replay.py::test_copy_is_over_with_the_session",
        "attacks/test_logout_replay.py::test_nothing_done_with_the_copy_brings_it_back",
        "attacks/test_logout_replay.py::test_copy_of_a_cookie_is_over_with_a_revocation_store",
    ],
    "expired_replay": [
        "attacks/test_expired_replay.py::test_cookie_found_later",
        "attacks/test_expired_replay.py::test_nothing_done_with_it_brings_it_back",
    ],
    "client_side_replay_of_old_cookie": [
        "attacks/test_client_side_replay_of_old_cookie.py::test_copy_outlives_the_logout_until_the_idle_timeout",
        "attacks/test_client_side_replay_of_old_cookie.py::test_copy_that_is_kept_in_use_ends_with_the_absolute_timeout",
        "attacks/test_client_side_replay_of_old_cookie.py::test_check_says_so",
        "attacks/test_client_side_replay_of_old_cookie.py::test_revocation_store_ends_copies_at_a_new_id_and_no_sooner",
    ],
    "idle_edge": ["attacks/test_idle_edge.py::test_session_ends_at_the_second"],
    "absolute_edge": ["attacks/test_absolute_edge.py::test_activity_does_not_extend"],
    "shortened_configuration": [
        "attacks/test_shortened_configuration.py::test_shorter_timeouts_count_for_open_sessions",
    ],
    "clock_back_and_forward": [
        "attacks/test_clock_back_and_forward.py::test_session_from_the_future_is_refused",
        "attacks/test_clock_back_and_forward.py::test_use_while_the_clock_is_back_gains_nothing",
        "attacks/test_clock_back_and_forward.py::test_use_while_the_clock_is_ahead_does_not_pass_the_absolute_end",
    ],
    "store_ttl_not_trusted": [
        "attacks/test_store_ttl_not_trusted.py::test_idle_timeout_is_sealed",
        "attacks/test_store_ttl_not_trusted.py::test_absolute_timeout_is_sealed",
        "attacks/test_store_ttl_not_trusted.py::test_row_that_is_over_is_not_revived",
    ],
    "oversized_cookie_in": [
        "attacks/test_oversized_cookie_in.py::test_longer_than_any_cookie_is_refused_undecoded",
    ],
    "garbage_flood": [
        "attacks/test_garbage_flood.py::test_sixty_thousand_random_strings_open_nothing_and_raise_nothing",
        "attacks/test_garbage_flood.py::test_flood_never_reaches_the_store",
    ],
    "oversized_session_out": [
        "attacks/test_oversized_session_out.py::test_too_much_is_a_named_error_and_the_old_cookie_stays",
        "attacks/test_browser.py::TestWhatTheBrowserKeeps::test_largest_session_is_kept",
    ],
    "decompression_bomb": ["attacks/test_decompression_bomb.py::test_memory_stays_bounded"],
    "deep_nesting": ["attacks/test_deep_nesting.py::test_nested_json_of_a_client_is_stored_or_refused"],
    "duplicate_cookies": [
        "attacks/test_duplicate_cookies.py::test_neither_of_two_is_believed",
        "attacks/test_browser.py::TestDuplicateCookies::test_prefixed_name_cannot_be_doubled",
        "attacks/test_browser.py::TestDuplicateCookies::test_pair_is_refused_and_then_gone",
    ],
    "prefix_by_case_and_unicode": [
        "attacks/test_prefix_by_case_and_unicode.py::test_lookalike_is_not_our_cookie",
        "attacks/test_browser.py::TestPrefixByCaseAndUnicode::test_lookalikes_are_not_read",
        "attacks/test_browser.py::TestPrefixByCaseAndUnicode::test_lookalikes_neither_replace_nor_disturb_the_victims",
    ],
    "cookie_planted_by_script": [
        "attacks/test_cookie_planted_by_script.py::test_browser_is_told_to_keep_scripts_away",
        "attacks/test_browser.py::TestCookiePlantedByScript::test_script_cannot_plant_one_where_there_is_none",
        "attacks/test_browser.py::TestCookiePlantedByScript::test_script_can_neither_replace_nor_delete_it",
    ],
    "impossible_cookie_settings": [
        "attacks/test_impossible_cookie_settings.py::test_impossible_combination_is_refused_at_the_start",
    ],
    "legacy_downgrade": [MIGRATION],
    "legacy_forged_with_fallback_key": [MIGRATION],
    "uniform_failure": ["attacks/test_uniform_failure.py::test_every_bad_token_gets_the_same_answer"],
    "secrets_in_logs_and_tracebacks": [
        "attacks/test_secrets_in_logs_and_tracebacks.py::TestLogsAndEvents::test_no_log_line_holds_a_secret",
        "attacks/test_secrets_in_logs_and_tracebacks.py::TestLogsAndEvents::test_no_event_holds_a_secret",
        "attacks/test_secrets_in_logs_and_tracebacks.py::TestObjects::test_no_object_shows_a_secret",
        "attacks/test_secrets_in_logs_and_tracebacks.py::TestErrors::test_no_traceback_shows_a_secret",
        "attacks/test_secrets_in_logs_and_tracebacks.py::TestErrors::test_no_local_variable_of_ours_holds_a_key",
    ],
    "cache_headers": ["attacks/test_cache_headers.py::test_answer_with_a_cookie_is_never_kept"],
    "plain_http": [
        "attacks/test_plain_http.py::test_cookie_is_secure_whatever_the_server_sees",
        "attacks/test_browser.py::TestPlainHttp::test_session_never_goes_over_the_wire",
    ],
    "revoke_others_and_all": [
        "attacks/test_revoke_others_and_all.py::test_thief_is_out",
        "attacks/test_revoke_others_and_all.py::test_others_are_left_alone",
        "test_revocable_cookies.py::TestEnds::test_revoke_one_the_others_a_user_and_all",
    ],
    "cap_under_parallel_logins": [
        "attacks/test_cap_under_parallel_logins.py::test_twenty_logins_at_once",
    ],
    "freshness_cannot_be_faked": [
        "attacks/test_metadata_out_of_reach_of_payload.py::test_authentication_time_comes_from_a_login_alone",
        "attacks/test_freshness_cannot_be_faked.py::test_nothing_but_the_key_itself_makes_fresh",
        "attacks/test_freshness_cannot_be_faked.py::test_proof_is_good_for_its_time_and_no_longer",
        "attacks/test_freshness_cannot_be_faked.py::test_clock_that_was_put_back",
        "attacks/test_freshness_cannot_be_faked.py::test_next_user_of_the_same_request_inherits_no_proof",
        "attacks/test_freshness_cannot_be_faked.py::test_copy_from_before_the_doubt",
        "attacks/test_freshness_cannot_be_faked.py::TestTwoAtOnce::test_slow_request_brings_no_freshness_back",
    ],
    "memcached_key_injection": [
        "attacks/test_memcached_key_injection.py::test_memcached_is_not_even_asked",
        "stores/test_memcached.py::test_key_that_would_be_a_command",
    ],
    "path_traversal_key": [
        "attacks/test_path_traversal_key.py::test_cookie_names_no_row",
        "attacks/test_path_traversal_key.py::test_user_names_no_row",
        "attacks/test_path_traversal_key.py::test_prefix_leads_nowhere_else",
    ],
    "prefix_collision": [
        "attacks/test_prefix_collision.py::test_cookie_of_one_is_nobodys_at_the_other",
        "attacks/test_prefix_collision.py::test_nothing_done_at_one_reaches_the_other",
    ],
    "poisoned_registry_row": [
        "attacks/test_poisoned_registry_row.py::test_what_is_no_list",
        "attacks/test_poisoned_registry_row.py::test_list_of_another_user",
        "attacks/test_poisoned_registry_row.py::test_who_is_logged_in_stays_so",
    ],
    "tombstone_cannot_be_overwritten": [
        "attacks/test_tombstone_cannot_be_overwritten.py::test_it_stays_as_it_was_written",
        "attacks/test_tombstone_cannot_be_overwritten.py::test_request_that_began_before_the_end",
    ],
    "revoked_cookie_after_rotation": [
        "attacks/test_revoked_cookie_after_rotation.py::test_it_stays_revoked",
        "attacks/test_revoked_cookie_after_rotation.py::test_it_stays_revoked_when_the_key_of_the_revocation_is_gone",
    ],
    "registry_after_rotation_and_key_removal": [
        "attacks/test_registry_after_rotation_and_key_removal.py::test_sessions_from_before_are_ended_with_the_others",
        "attacks/test_registry_after_rotation_and_key_removal.py::test_cap_counts_over_a_rotation",
        "attacks/test_registry_after_rotation_and_key_removal.py::test_all_were_ended_before_the_rotation",
    ],
    "registry_under_unknown_key_is_not_overwritten": [
        "attacks/test_registry_under_unknown_key_is_not_overwritten.py::test_list_under_a_key_that_this_instance_does_not_have",
        "attacks/test_registry_under_unknown_key_is_not_overwritten.py::test_list_whose_seal_has_another_key",
    ],
    "registry_not_shared_by_two_apps": [
        "attacks/test_registry_not_shared_by_two_apps.py::test_other_application",
    ],
    "user_id_int_and_text_meet": [
        "attacks/test_user_id_int_and_text_meet.py::test_number_and_text_are_one_user",
        "attacks/test_user_id_int_and_text_meet.py::test_name_that_only_looks_like_the_number_is_somebody_else",
        "test_registry.py::TestList::test_user_by_number",
    ],
    "tag_injection_from_client_json": [
        "attacks/test_tag_injection_from_client_json.py::test_imitated_tag_stays_a_map",
        "attacks/test_tag_injection_from_client_json.py::test_imitated_escape_stays_what_it_is",
    ],
    "csrf_token_planted_before_login": [
        "attacks/test_csrf_token_planted_before_login.py::test_token_from_before_the_login_is_worth_nothing_after",
    ],
    "login_key_named_username": [
        "attacks/test_login_key_named_username.py::test_login_by_any_usual_key_is_a_new_session",
    ],
    "remember_cookie_is_never_fresh": [
        "attacks/test_remember_cookie_is_never_fresh.py::test_remembered_user_is_in_but_not_fresh",
        "test_flask_login.py::TestFreshRequired::test_remembered_user_is_asked_again",
    ],
    "revoke_others_with_a_shared_cookie": [
        "attacks/test_revoke_others_with_a_shared_cookie.py::test_thief_with_the_same_cookie",
    ],
    "handle_of_another_user": [
        "attacks/test_handle_of_another_user.py::test_handle_ends_nothing_of_anybody_else",
        "attacks/test_handle_of_another_user.py::test_handle_opens_nothing",
    ],
    "carrier_confusion": [
        "attacks/test_carrier_confusion.py::test_token_of_the_header_is_no_cookie",
        "attacks/test_carrier_confusion.py::test_cookie_is_no_token_of_the_header",
        "attacks/test_cross_app_and_cookie_name.py::test_token_of_another_carrier",
    ],
    "header_request_never_falls_back_to_cookie": [
        "attacks/test_header_request_never_falls_back_to_cookie.py::test_cookie_counts_for_nothing_beside_the_header",
        "attacks/test_header_request_never_falls_back_to_cookie.py"
        "::test_nothing_that_it_does_touches_the_cookies_session",
    ],
    "header_answer_never_leaks_the_cookie's_session": [
        "attacks/test_header_answer_never_leaks_the_cookies_session.py::test_no_token_of_it_leaves_in_the_header",
        "attacks/test_header_answer_never_leaks_the_cookies_session.py::TestRememberCookie::test_becomes_no_token",
    ],
    "legacy_cookie_after_logout": [MIGRATION],
    "legacy_replay_does_not_extend": [MIGRATION],
    "legacy_without_date": [MIGRATION],
    "forged_token_is_not_laundered_by_resealing": [
        "attacks/test_forged_token_is_not_laundered_by_resealing.py::test_nothing_of_it_is_in_what_the_server_seals",
        "attacks/test_forged_token_is_not_laundered_by_resealing.py"
        "::TestLeakedKeyThatWasKept::test_resealing_gives_it_no_more_time",
        MIGRATION,
    ],
    "metadata_out_of_reach_of_payload": [
        "attacks/test_metadata_out_of_reach_of_payload.py::test_keys_of_the_same_names_change_nothing",
    ],
    "legacy_pickle_memo_bomb": [MIGRATION],
    "ttl_of_400_days": [
        "attacks/test_ttl_of_400_days.py::test_session_is_there_at_once",
        "attacks/test_ttl_of_400_days.py::test_it_lives_for_400_days",
    ],
    "revocation_store_flushed": [
        "attacks/test_revocation_store_flushed.py::test_flush_revives_nothing",
        "attacks/test_revocation_store_flushed.py::test_user_list_that_is_lost_ends_that_users_sessions",
    ],
    "revocation_that_cannot_be_opened": [
        "attacks/test_revocation_that_cannot_be_opened.py::test_it_counts_as_an_end",
        "attacks/test_revocation_that_cannot_be_opened.py::test_spoiled_epoch_of_all_ends_all",
        "attacks/test_revocation_that_cannot_be_opened.py::test_spoiled_list_is_an_outage",
    ],
    "lowered_then_raised_absolute": [
        "attacks/test_lowered_then_raised_absolute.py::test_end_is_frozen_when_the_session_is_made",
    ],
    "outage_then_write": [
        "attacks/test_outage_then_write.py::test_change_is_an_error_and_no_cookie_moves",
        "attacks/test_outage_then_write.py::test_store_that_fails_after_the_read",
        "races/test_outages.py::TestWrite::test_outage_then_write",
    ],
    "outage_then_logout": [
        "attacks/test_outage_then_logout.py::test_nobody_is_told_that_he_is_logged_out",
        "attacks/test_outage_then_logout.py::test_logout_whose_answer_was_lost",
        "races/test_outages.py::TestLogout::test_outage_then_logout",
        "races/test_flask_login.py::test_outage_then_logout",
    ],
    "role_removal_survives_merge": [
        "attacks/test_role_removal_survives_merge.py::test_slow_page_brings_no_right_back",
        "attacks/test_role_removal_survives_merge.py::test_removal_in_the_midst_of_saving",
        "races/test_interleavings.py::test_right_that_was_taken_away_stays_away",
    ],
    "chain_of_moved_rows": [
        "attacks/test_chain_of_moved_rows.py::test_old_links_lead_nowhere",
        "attacks/test_chain_of_moved_rows.py::test_circle",
    ],
    "clone_false_positives": [
        "attacks/test_clone_false_positives.py::test_slow_upload",
        "attacks/test_clone_false_positives.py::test_restored_jar",
        "attacks/test_clone_false_positives.py::test_lost_answers",
    ],
    "login_as_another_user_drops_data": [
        "attacks/test_login_as_another_user_drops_data.py::test_second_user_inherits_nothing",
    ],
}

RACES = {
    "save_does_not_resurrect_a_session_logged_out_elsewhere": [
        "races/test_races.py::TestEnd::test_save_does_not_resurrect_a_session_logged_out_elsewhere",
        "races/test_races.py::TestEnd::test_touch_does_not_resurrect_either",
        "races/test_save_now.py::TestMeanwhile::test_ended_session_stays_ended",
    ],
    "save_does_not_resurrect_after_regenerate": [
        "races/test_races.py::TestEnd::test_save_does_not_resurrect_after_regenerate",
        "races/test_races.py::TestEnd::test_new_id_does_not_resurrect_either",
    ],
    "stale_request_does_not_overwrite_the_new_cookie": [
        "races/test_races.py::TestCookie::test_stale_request_does_not_overwrite_the_new_cookie",
    ],
    "parallel_writes_to_different_keys_all_survive": [
        "races/test_races.py::TestWrites::test_parallel_writes_to_different_keys_all_survive",
    ],
    "parallel_flashes_all_survive": ["races/test_races.py::TestWrites::test_parallel_flashes_all_survive"],
    "same_key_conflict_follows_the_setting": [
        "races/test_races.py::TestOneKey::test_same_key_conflict_follows_the_setting_merge",
        "races/test_races.py::TestOneKey::test_same_key_conflict_follows_the_setting_raise",
    ],
    "identity_changed_elsewhere_wins": ["races/test_races.py::TestIdentity::test_identity_changed_elsewhere_wins"],
    "two_renewals_at_once_leave_one_successor": [
        "races/test_renewal.py::TestMeanwhile::test_two_renewals_at_once_leave_one_successor",
    ],
    "lost_renewal_answer_keeps_the_user_in": [
        "races/test_renewal.py::TestOldId::test_lost_renewal_answer_keeps_the_user_in",
    ],
    "copied_cookie_after_renewal_is_reported": [
        "races/test_renewal.py::TestOldId::test_copied_cookie_after_renewal_is_reported",
        "races/test_renewal.py::TestOldId::test_copied_cookie_after_renewal_can_end_the_session",
    ],
    "login_twice_at_once": [
        "races/test_races.py::TestIdentity::test_login_twice_at_once",
        "races/test_races.py::TestIdentity::test_login_a_moment_after_another",
    ],
    "logout_during_login": [
        "races/test_races.py::TestIdentity::test_logout_during_login",
        "races/test_flask_login.py::test_logout_during_login",
    ],
    "revoke_during_request": [
        "races/test_registry_races.py::test_revoke_during_request",
        "test_revocable_cookies.py::TestRaces::test_late_request_sets_no_cookie",
    ],
    "purge_during_write": [
        "races/test_races.py::TestWrites::test_purge_during_write",
        "races/test_races.py::TestWrites::test_purge_of_the_row_that_is_written",
    ],
    "store_lost_mid_request": [
        "races/test_outages.py::TestWrite::test_store_lost_mid_request",
        "races/test_outages.py::TestRedis::test_frozen_mid_request",
    ],
    "store_back_again": [
        "races/test_outages.py::TestWrite::test_store_back_again",
        "races/test_outages.py::TestRedis::test_killed_and_started_anew",
    ],
    "redis_master_killed_mid_traffic": ["races/test_failover.py::test_redis_master_killed_mid_traffic"],
    "logout_against_regenerate": ["races/test_races.py::TestIdentity::test_logout_against_regenerate"],
    "logout_against_renewal": [
        "races/test_renewal.py::TestMeanwhile::test_logout_against_renewal",
        "races/test_renewal.py::TestMeanwhile::test_renewal_against_logout",
    ],
    "cookie_regeneration_against_revoke": [
        "races/test_revocable_cookies.py::test_cookie_regeneration_against_revoke",
        "races/test_revocable_cookies.py::test_two_new_ids_at_once",
        "races/test_revocable_cookies.py::test_many_new_ids_while_revoked",
    ],
    "late_request_after_login_sets_no_cookie": [
        "races/test_races.py::TestCookie::test_late_request_after_login_sets_no_cookie",
    ],
    "resealing_does_not_overwrite_a_login": [
        "races/test_races.py::TestCookie::test_resealing_does_not_overwrite_a_login",
    ],
    "write_meets_moved_row": [
        "races/test_renewal.py::TestMeanwhile::test_write_meets_moved_row",
    ],
    "write_during_regenerate_is_kept": [
        "races/test_races.py::TestWrites::test_write_during_regenerate_is_kept",
        "races/test_races.py::TestWrites::test_write_between_the_two_writes_of_a_login_is_kept",
    ],
    "revoke_user_during_login": [
        "races/test_registry_races.py::test_revoke_user_during_login",
        "races/test_registry_races.py::test_revoke_user_during_login_over_a_session",
        "test_revocable_cookies.py::TestRaces::test_revoke_user_during_login",
    ],
    "revoke_during_renewal": [
        "races/test_registry_races.py::test_revoke_during_a_new_id",
        "races/test_registry_races.py::test_many_new_ids_while_revoked",
        "races/test_renewal.py::TestMeanwhile::test_revoke_during_renewal",
        "races/test_renewal.py::TestMeanwhile::test_revoke_between_the_steps_of_a_renewal",
    ],
    "crash_between_each_two_steps": [
        "races/test_crashes.py::TestCrashBetweenEachTwoSteps::test_keeps_or_ends_the_session_as_a_whole",
        "races/test_crashes.py::TestCrashBetweenEachTwoSteps::test_can_be_tried_again",
        "races/test_registry_races.py::test_crash_between_each_two_steps",
        "races/test_renewal.py::test_crash_between_each_two_steps",
        "races/test_revocable_cookies.py::TestCrashBetweenEachTwoSteps::test_change",
        "races/test_revocable_cookies.py::TestCrashBetweenEachTwoSteps::test_revoke",
    ],
    "tombstone_expired_during_request": [
        "races/test_races.py::TestEnd::test_tombstone_expired_during_request",
        "races/test_races.py::TestEnd::test_tombstone_expired_at_the_edge",
    ],
    "two_acceptances_of_one_legacy_row": [MIGRATION],
    "rolling_rotation_of_three_instances": ["races/test_rotation.py::test_rolling_rotation_of_three_instances"],
    "stale_replica_read": [
        "races/test_stale_reads.py::test_stale_replica_read",
        "races/test_stale_reads.py::test_stale_read_overwrites_no_write",
    ],
    "eviction_against_login": [
        "races/test_registry_races.py::test_eviction_against_login",
    ],
}

ROWS = REQUIREMENTS | ATTACKS | RACES


@pytest.mark.parametrize(("table", "rows"), [(REQUIREMENTS, 42), (ATTACKS, 85), (RACES, 32)], ids=["R", "A", "C"])
def test_no_row_was_lost(table: dict[str, list[str]], rows: int) -> None:
    """The lists are as long as they were: a row can be answered, and never be dropped."""
    assert len(table) == rows


@pytest.mark.parametrize("row", ROWS)
def test_every_row_is_tested_or_named_as_to_come(row: str) -> None:
    """Each row names a test that exists, or the part that brings one."""
    assert ROWS[row]

    for place in ROWS[row]:
        assert place in PARTS or _exists(place), f"{row}: {place} is neither a test nor a part to come"


def test_every_attack_has_its_file() -> None:
    """An attack that is tested has a file of its name, and every file there is an attack's, or the browser's."""
    tested = {row.replace("'", "") for row, places in ATTACKS.items() if not PARTS.issuperset(places)}
    files = {path.stem.removeprefix("test_") for path in (FOLDER / "attacks").glob("test_*.py")}

    assert files - {"browser", "found_in_review"} == tested


def _exists(place: str) -> bool:
    """Whether a `file::test` or `file::Class::test` is there."""
    file, _, name = place.partition("::")
    path = FOLDER / file
    return path.is_file() and name in _tests_in(path)


def _tests_in(path: Path) -> set[str]:
    """The names of a file's tests, as pytest spells them."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return set(chain.from_iterable(_names(node) for node in tree.body))


def _names(node: ast.stmt) -> Iterator[str]:
    if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
        yield node.name
    if isinstance(node, ast.ClassDef):
        yield from (f"{node.name}::{name}" for inner in node.body for name in _names(inner))
